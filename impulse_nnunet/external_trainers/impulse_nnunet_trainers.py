"""Re-exports only: nnU-Net forgets the modules of this folder, so a class defined here could not be pickled."""

from impulse_nnunet.trainers import *  # noqa: F403  its __all__ is the list of our trainers
