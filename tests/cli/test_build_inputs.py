import json

import numpy as np
import pytest

from impulse_nnunet.cli.main import main
from tests.lungs import made_up


@pytest.fixture
def ct(nnunet_folders):
    return made_up.write_ct_dataset(nnunet_folders / "nnUNet_raw" / "Dataset001_Chest")


QUIET = "--disable_progress_bar"


def test_a_data_set_from_the_command_line(ct, nnunet_folders, capsys):
    arguments = ["-d", "2", "--ct", "1", "--inputs", "lbav", "--bav", "ground_truth", "--lobes", "ground_truth"]
    assert main(["build_inputs", *arguments, QUIET]) == 0
    folder = nnunet_folders / "nnUNet_raw" / "Dataset002_Chest_LBAV"
    assert capsys.readouterr().out == f"5 case(s) in {folder}\n"
    assert len(list((folder / "imagesTr").iterdir())) == 4 * 8


def test_mappings_of_the_flags(ct, nnunet_folders):
    for case in "abcdt":
        vessels = np.array([0, 2, 3, 4], np.uint8)[made_up.bav()]  # TotalSegmentator's lung_vessels
        made_up.write(nnunet_folders / "vessels" / f"{case}.nii.gz", vessels)
        total = np.array([0, 12, 13, 14, 10, 11], np.uint8)[made_up.lobes()]
        made_up.write(nnunet_folders / "total" / f"{case}.nii.gz", total)
    arguments = ["--bav", str(nnunet_folders / "vessels"), "--bav_labels", "totalsegmentator"]
    arguments += ["--lobes", str(nnunet_folders / "total"), "--lobe_labels", "totalsegmentator"]
    assert main(["build_inputs", "-d", "2", "--name", "TS", "--ct", "1", "--inputs", "lbav", *arguments, QUIET]) == 0
    images = nnunet_folders / "nnUNet_raw" / "Dataset002_TS" / "imagesTr"
    np.testing.assert_array_equal(made_up.read(images / "a_0003.nii.gz"), made_up.lobes() == 4)
    np.testing.assert_array_equal(made_up.read(images / "a_0005.nii.gz"), made_up.tree("airway"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "2", "--ct", "9", "--inputs", "i"], "dataset 9: found no such data set"),
        (["-d", "1", "--ct", "1", "--inputs", "i"], "-d: found data set Dataset001_Chest in "),
        (["-d", "1", "--name", "Chest", "--ct", "1", "--inputs", "i"], "-d: found Dataset001_Chest, expected another"),
        (["-d", "2", "--ct", "1", "--inputs", "i", "-np", "0"], "-np: found 0, expected 1 or more"),
        (["-d", "2", "--ct", "1", "--inputs", "ibav"], "--bav: found nothing, expected ground_truth"),
        (["-d", "2", "--ct", "1", "--inputs", "i", "--bav", "x"], "--bav x: found no such folder"),
    ],
)
def test_errors_are_one_line(ct, capsys, arguments, message):
    assert main(["build_inputs", *arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"impulse_nnunet: {message}")
    assert printed.count("\n") == 1


def test_lung3d_from_the_command_line(nnunet_folders, capsys):
    source = made_up.write_lung3d_npz(nnunet_folders / "npz", {"p1": "train", "p2": "test"})
    assert main(["convert_lung3d", str(source), "-d", "3", "--spacing", "2", "1.5", "1", QUIET]) == 0
    folder = nnunet_folders / "nnUNet_raw" / "Dataset003_Lung3D_LBAV"
    assert capsys.readouterr().out == f"1 train, 0 val, 1 test case(s) in {folder}\n"
    assert json.loads((folder / "dataset.json").read_text())["numTraining"] == 1
    assert main(["convert_lung3d", str(source), "-d", "4"]) == 2
    assert capsys.readouterr().err.startswith(f"impulse_nnunet: {source}: found .npz files, which have no voxel size")
