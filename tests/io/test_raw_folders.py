import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.raw_folders import new_raw_folder


def test_a_folder_that_need_not_exist(nnunet_folders):
    raw = nnunet_folders / "nnUNet_raw"
    assert new_raw_folder(str(raw), 7, "New_1") == raw / "Dataset007_New_1"
    (raw / "Dataset007_New_1").mkdir()
    assert new_raw_folder(str(raw), 7, "New_1") == raw / "Dataset007_New_1"


@pytest.mark.parametrize("base", ["nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"])
def test_an_id_that_nnunet_knows_under_another_name(nnunet_folders, base):
    (nnunet_folders / base / "Dataset007_Old").mkdir()
    with pytest.raises(
        InputError, match=f"`dataset`: found data set Dataset007_Old in .*{base}, expected an ID that is free"
    ):
        new_raw_folder(str(nnunet_folders / "nnUNet_raw"), 7, "New")


@pytest.mark.parametrize(
    ("raw", "number", "title", "message"),
    [
        (None, 7, "A", "nnUNet_raw: found no value"),
        ("raw", 0, "A", "`dataset`: found 0, expected 1 to 999"),
        ("raw", 1000, "A", "`dataset`: found 1000, expected 1 to 999"),
        ("raw", 7, "a/b", "name of data set 7: found 'a/b', expected letters, digits and _"),
    ],
)
def test_bad_ids_and_names(raw, number, title, message):
    with pytest.raises(InputError, match=message):
        new_raw_folder(raw, number, title)
