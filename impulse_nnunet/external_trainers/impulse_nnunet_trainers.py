"""Re-exports only: nnU-Net forgets the modules of this folder, so a class defined here could not be pickled."""

import sys

from impulse_nnunet.cli.flags import names_in_nnunet
from impulse_nnunet.errors import install_one_line_errors
from impulse_nnunet.runtime.memory_limit import short_of_memory
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

install_one_line_errors(names_in_nnunet(sys.argv[0]), short_of_memory)
