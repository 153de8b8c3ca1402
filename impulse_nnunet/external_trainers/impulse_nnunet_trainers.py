"""Re-exports only: nnU-Net forgets the modules of this folder, so a class defined here could not be pickled."""

from impulse_nnunet.trainers import (
    nnUNetTrainerBudget,
    nnUNetTrainerDeepLabV3,
    nnUNetTrainerFCN,
    nnUNetTrainerImPulSe,
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
