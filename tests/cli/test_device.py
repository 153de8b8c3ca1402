import os

import pytest
import torch

from impulse_nnunet.cli.device import chosen_device
from impulse_nnunet.cli.main import main


def test_the_cpu_takes_the_cores_of_the_job(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device("cpu") == torch.device("cpu")
    assert torch.get_num_threads() == len(os.sched_getaffinity(0))
    assert chosen_device(None) is None


PREDICT = ["predict", "-m", "M", "-i", "IN", "-o", "out"]
COMMANDS = {
    "predict": PREDICT,
    "reconstruct": ["reconstruct", "--segment_model", "M", "-i", "IN", "-o", "out"],
    "table": ["table", "-d", "990", "--table", "1", "-o", "out"],
    "figure": ["figure", "6", "-d", "990", "--study", "IN", "-o", "out"],
    "build_inputs": ["build_inputs", "-d", "991", "--ct", "990", "--inputs", "i"],
    "pipeline": ["pipeline", "-d", "990", "--inputs", "i"],
}


@pytest.fixture
def here(nnunet_folders, monkeypatch):
    (nnunet_folders / "nnUNet_raw" / "Dataset990_Tiny").mkdir()
    (nnunet_folders / "nnUNet_raw" / "Dataset990_Tiny" / "dataset.json").write_text("{}")
    monkeypatch.chdir(nnunet_folders)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return nnunet_folders


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "-device: found cuda, expected a device of this machine; give -device cpu (PyTorch"),
        ("mps", "-device: found mps, expected cpu or cuda; positions are computed in float64, which mps lacks"),
        ("gpu", "-device: found gpu, expected cpu or cuda; choose one of them; give -device cpu"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_device_that_does_not_serve_is_one_line(command, device, message, here, capsys):
    assert main([*command, "-device", device]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert not (here / "out").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_is_the_same_everywhere(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    wanted = "for figure 6: default: cpu" if command == "figure" else "default: cuda if there is one"
    printed = " ".join(capsys.readouterr().out.split())
    assert "-device {cpu,cuda}" in printed
    assert wanted in printed


@pytest.mark.parametrize(
    "command", [["predict", "-m", "M"], ["reconstruct", "--segment_model", "M"]], ids=["predict", "reconstruct"]
)
def test_a_missing_gpu_is_one_line(command, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([*command, "-i", str(tmp_path), "-o", str(tmp_path / "out"), "-device", "cuda"]) == 2
    assert "-device: found cuda, expected a device of this machine; give -device cpu" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
