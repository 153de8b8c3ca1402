"""Our list of cases against nnU-Net's own, on names that invite mistakes."""

import importlib

from nnunetv2.utilities import utils

from impulse_nnunet.preprocessing.listing import lists_of_files

NAMES = (
    "a_0000", "a_0001", "b_0000", "a_b_0000", "c_0000_0000", "c_0000_0001", "d.e_0000", "ü n_0000", "x_000", "y_00000",
)  # fmt: skip


def test_the_lists_are_nnunets(tmp_path):
    for name in NAMES:
        (tmp_path / f"{name}.nii.gz").touch()
    (tmp_path / "other_0000.nii").touch()
    stock = importlib.reload(utils).create_lists_from_splitted_dataset_folder  # ours may stand in its place
    assert lists_of_files(str(tmp_path), ".nii.gz") == stock(str(tmp_path), ".nii.gz", num_processes=1)
    utils.create_lists_from_splitted_dataset_folder = lists_of_files
