"""nnU-Net trainers.

Importing this package also routes nnU-Net's predictor and its loading of pretrained weights for our networks (decisions
0002 and 0010).
"""

from impulse_nnunet.nnunet.routing import route_stock_predictor
from impulse_nnunet.trainers.impulse import nnUNetTrainerImPulSe
from impulse_nnunet.trainers.pretrained import route_pretrained_weights
from impulse_nnunet.trainers.stock_budget import nnUNetTrainerBudget
from impulse_nnunet.trainers.systems import (
    nnUNetTrainerDeepLabV3,
    nnUNetTrainerFCN,
    nnUNetTrainerImPulSeV1,
    nnUNetTrainerLowRes,
)

__all__ = [
    "nnUNetTrainerBudget",
    "nnUNetTrainerDeepLabV3",
    "nnUNetTrainerFCN",
    "nnUNetTrainerImPulSe",
    "nnUNetTrainerImPulSeV1",
    "nnUNetTrainerLowRes",
]

route_stock_predictor()
route_pretrained_weights()
