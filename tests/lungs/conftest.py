import pytest

from tests.lungs import made_up


@pytest.fixture
def ct(nnunet_folders):
    """A CT data set of four training cases and a test case."""
    return made_up.write_ct_dataset(nnunet_folders / "nnUNet_raw" / "Dataset001_Chest")
