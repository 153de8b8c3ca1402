"""Each system has its trainer, and a trainer is nothing but its system."""

import pytest

from impulse_nnunet import trainers
from impulse_nnunet.external_trainers import impulse_nnunet_trainers
from impulse_nnunet.network import SYSTEMS
from impulse_nnunet.trainers import nnUNetTrainerImPulSe


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_table_names_the_trainer(system):
    trainer = getattr(trainers, SYSTEMS[system].trainer)
    assert trainer.system == system
    assert issubclass(trainer, nnUNetTrainerImPulSe)
    assert getattr(impulse_nnunet_trainers, SYSTEMS[system].trainer) is trainer  # nnU-Net finds it there
    if trainer is not nnUNetTrainerImPulSe:
        own = {name for name in vars(trainer) if not name.startswith("__")}
        assert own == {"system"}


def test_there_are_no_others():
    ours = {system.trainer for system in SYSTEMS.values()}
    assert set(trainers.__all__) - {"nnUNetTrainerBudget"} == ours  # that one is stock nnU-Net's, under a budget
    assert impulse_nnunet_trainers.__all__ == trainers.__all__
