import json

from impulse_nnunet.cli.main import main
from impulse_nnunet.settings import NETWORK_CLASS, to_json
from tests.support import SMALL, settings_for

DATASET_JSON = {"channel_names": {"0": "CT", "1": "noNorm"}, "labels": {"background": 0, "a": 1, "b": 2, "ignore": 3}}


def model_folder(base, name="nnUNetTrainerFCN__ImPulSePlans__3d_impulse"):
    folder = base / name
    folder.mkdir()
    configuration = {
        "batch_size": 3,
        "impulse": to_json(settings_for(input_grid=(8, 12, 16))),
        "architecture": {"network_class_name": NETWORK_CLASS, "arch_kwargs": to_json(SMALL)},
        "estimates": {"extent_mm": [8.0, 12.0, 16.0]},
    }
    (folder / "plans.json").write_text(json.dumps({"configurations": {"3d_impulse": configuration}}))
    (folder / "dataset.json").write_text(json.dumps(DATASET_JSON))
    return folder


def test_the_papers_sizes_are_the_default(capsys):
    assert main(["describe"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == "ImPulSe+ (nnUNetTrainerImPulSe): 4 input channels, 19 classes with background"
    rows = {line.split("  ")[0]: line for line in printed.splitlines()}
    assert "33 225 856  128 x 128 x 128  resnet18, batch norm" in rows["encoder"]
    assert "123 715  any point" in rows["deformation"]
    assert "124 755  any point" in rows["correction"]
    assert "47 173 209  128 x 128 x 128  learned" in rows["template"]
    assert "16 x 16 x 16     512 channels" in printed
    assert "a training step: 4 samples of 4 096 points, about 28." in printed


def test_channels_and_classes_change_what_they_touch(capsys):
    assert main(["describe", "--preset", "paper", "--channels", "1", "--classes", "2", "--json"]) == 0
    parts = json.loads(capsys.readouterr().out)["parts"]
    assert parts["encoder"]["parameters"] == 33_225_856 - 3 * 64 * 7**3  # the stem's kernels of three channels
    assert parts["correction"]["parameters"] == 124_755 - 17 * 65  # (64 + 1) numbers for each class


def test_a_trained_model(capsys, tmp_path):
    assert main(["describe", "-m", str(model_folder(tmp_path)), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["system"], found["trainer"]) == ("FCN", "nnUNetTrainerFCN")  # from the folder's name
    assert (found["input_channels"], found["number_of_classes"], found["batch_size"]) == (2, 3, 3)
    assert found["points"] == 8 * 12 * 16
    assert (
        main(
            [
                "describe",
                "-m",
                str(tmp_path / "nnUNetTrainerFCN__ImPulSePlans__3d_impulse"),
                "-tr",
                "nnUNetTrainerLowRes",
            ]
        )
        == 0
    )
    assert "unet, instance norm" in capsys.readouterr().out


def test_a_planned_data_set(capsys, nnunet_folders):
    folder = model_folder(nnunet_folders / "nnUNet_preprocessed", "Dataset704_Made")
    (folder / "plans.json").rename(folder / "ImPulSePlans.json")
    assert main(["describe", "-d", "704"]) == 0
    printed = capsys.readouterr().out
    assert "ImPulSe+ (nnUNetTrainerImPulSe): 2 input channels, 3 classes" in printed
    assert "frequency: the log of the class frequencies; fixed in training" in printed


def test_what_is_not_there_is_named_in_one_line(capsys, tmp_path):
    folder = model_folder(tmp_path)
    cases = [
        (["-tr", "nnUNetTrainer"], "-tr nnUNetTrainer: found no trainer of this package"),
        (["--channels", "0"], "--channels: found 0, expected 1 or more"),
        (["--classes", "1"], "--classes: found 1, expected 2 or more"),
        (["-m", str(tmp_path)], "plans.json: found no such file, expected plans and dataset.json"),
        (["-m", str(folder), "-c", "2d"], "-c 2d: found no such entry in"),
    ]
    for arguments, message in cases:
        assert main(["describe", *arguments]) == 2
        printed = capsys.readouterr()
        assert message in printed.err
        assert printed.err.count("\n") == 1
