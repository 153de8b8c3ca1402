import pytest

from impulse_nnunet.network.systems import SYSTEMS
from impulse_nnunet.studies.rows import ENCODERS, MAIN, PARTS, PLUS, TEMPLATE, StudyRow


@pytest.mark.parametrize("row", [*MAIN, *PARTS, *ENCODERS], ids=lambda row: row.name)
def test_rows_name_systems_of_the_network(row):
    assert row.system is None or row.system in SYSTEMS
    assert row.trainer == (SYSTEMS[row.system].trainer if row.system else "nnUNetTrainerBudget" if row.stock else "")


def test_each_of_the_papers_systems_has_a_row():
    assert {row.system for row in MAIN} - {None} == set(SYSTEMS)


def test_trainers_and_keys_are_those_of_earlier_studies():
    # keys are in the names of trained configurations, and trainers in their records: other ones would train again
    assert {row.key: row.trainer for row in MAIN} == {
        "nnunet": "nnUNetTrainerBudget",
        "deeplabv3": "nnUNetTrainerDeepLabV3",
        "fcn": "nnUNetTrainerFCN",
        "lowres": "nnUNetTrainerLowRes",
        "impulse": "nnUNetTrainerImPulSeV1",
        "plus": "nnUNetTrainerImPulSe",
        "template": "",
    }
    assert [row.trains for row in (PLUS, TEMPLATE, StudyRow(key="x", name="x"))] == [True, False, True]
