"""Long work in steps: each step runs commands, leaves a record, and is skipped while its record still matches."""

from impulse_nnunet.steps.run import Runner
from impulse_nnunet.steps.step import Step, StepState

__all__ = ["Runner", "Step", "StepState"]
