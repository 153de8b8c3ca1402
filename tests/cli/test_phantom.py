import json

from impulse_nnunet.cli.main import main

TINY = ["--size", "24", "32", "36", "--disable_progress_bar"]


def test_a_cohort_from_the_command_line(nnunet_folders, capsys):
    assert main(["phantom", "-d", "801", "-n", "1", "--test", "1", *TINY]) == 0
    assert "2 case(s) made in " in capsys.readouterr().out
    folder = nnunet_folders / "nnUNet_raw" / "Dataset801_PhantomSegments"
    assert json.loads((folder / "dataset.json").read_text())["numTraining"] == 1
    assert (nnunet_folders / "nnUNet_raw" / "Dataset802_PhantomBAV" / "labelsTs" / "phantom_90001.nii.gz").is_file()


def test_the_check_prints_each_property_beside_what_is_asked(nnunet_folders, capsys):
    code = main(["phantom", "-d", "5", "--bav_id", "9", "--name", "A", "--bav_name", "B", "-n", "1", *TINY, "--check"])
    printed = capsys.readouterr().out
    assert "segments_in_pieces" in printed
    assert "ok (each >= 0.999)" in printed or "MISSED (each >= 0.999)" in printed
    assert code == int("MISSED" in printed)
    assert (nnunet_folders / "nnUNet_raw" / "Dataset005_A" / "phantom_properties.json").is_file()
    assert (nnunet_folders / "nnUNet_raw" / "Dataset009_B" / "labelsTr").is_dir()


def test_errors_are_one_line(nnunet_folders, capsys):
    assert main(["phantom", "-d", "801", "-n", "1", "--size", "8", "8", "8"]) == 2
    printed = capsys.readouterr().err
    assert printed == "impulse_nnunet: --size: found 8 8 8, expected 16 to 2048 voxels along each axis; correct it\n"


def test_without_nnunets_folder(monkeypatch, capsys):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    assert main(["phantom", "-d", "801", "-n", "1"]) == 2
    assert capsys.readouterr().err.startswith("impulse_nnunet: nnUNet_raw: found no value")
