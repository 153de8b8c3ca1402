"""Two processes (Gloo, CPU) through nnU-Net's own entry for several GPUs train what one process does."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch
from nnunetv2.run import run_training as entry
from torch import distributed, multiprocessing

from impulse_nnunet.network import build
from impulse_nnunet.trainers import nnUNetTrainerImPulSe

pytestmark = pytest.mark.slow
PLANS = "ImPulSeTwoPlans"
NAMES = ("990", "3d_impulse", 0, "nnUNetTrainerImPulSe", PLANS)
FOLD = f"Dataset990_Tiny/nnUNetTrainerImPulSe__{PLANS}__3d_impulse/fold_0"
CONFIGURE = nnUNetTrainerImPulSe.configure_optimizers
RECORDED = 2  # step, from 0; in the first the heads are zero, and so are most gradients
STOPPED_BEFORE = 8  # step, from 0: the third of the second epoch


@pytest.fixture
def folders(planned, monkeypatch, tmp_path):
    """The planned data set with plans whose batch of three falls into unequal parts, and a learned template."""
    plans = json.loads((planned.preprocessed / "ImPulSePlans.json").read_text())
    configuration = plans["configurations"]["3d_impulse"]
    configuration["batch_size"] = 3
    configuration["architecture"]["arch_kwargs"]["template_grid"] = [8, 8, 8]
    configuration["impulse"]["template"] |= {"mode": "learned", "iterations": 2}
    plans["plans_name"] = PLANS
    (planned.preprocessed / f"{PLANS}.json").write_text(json.dumps(plans))
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_extTrainer", "nnUNet_n_proc_DA"):
        monkeypatch.setenv(name, planned.environment[name])
    yield tmp_path
    (planned.preprocessed / f"{PLANS}.json").unlink()


def forgiving(self):
    """AdamW whose steps do not blow up rounding noise: its own epsilon divides a gradient of 1e-8 by 1e-8."""
    optimiser, schedule = CONFIGURE(self)
    for group in optimiser.param_groups:
        group["eps"] = 0.1
    return optimiser, schedule


def recording(file, stop_rank=None):
    """A train step that keeps one step's gradients, and sends SIGTERM to one rank."""
    original, steps = nnUNetTrainerImPulSe.train_step, iter(range(100))

    def step(self, batch):
        number = next(steps)
        if number == STOPPED_BEFORE and self.local_rank == stop_rank:
            os.kill(os.getpid(), signal.SIGTERM)
        outputs = original(self, batch)
        if number == RECORDED and self.local_rank == 0:
            torch.save({name: p.grad.clone() for name, p in self.bare_network().named_parameters()}, file)
        return outputs

    return step


def work(rank, file, stop_rank, resume, world):
    entry.setup_ddp = lambda rank, world: distributed.init_process_group("gloo", rank=rank, world_size=world)
    torch.cuda.set_device = lambda device: None
    torch.set_num_threads(1)
    build.cpu_has_bfloat16 = lambda: False
    nnUNetTrainerImPulSe.configure_optimizers = forgiving
    nnUNetTrainerImPulSe.train_step = recording(file, stop_rank)
    entry.run_ddp(rank, *NAMES, False, resume, False, None, False, False, world)


def train_on_two(file, stop_rank=None, resume=False):
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = "localhost", str(entry.find_free_network_port())
    multiprocessing.spawn(work, (str(file), stop_rank, resume, 2), nprocs=2)


def close(found, wanted, tolerance, name):
    difference = float((found - wanted).abs().max())
    assert difference <= tolerance, f"{name}: {difference} apart, allowed {tolerance}"


def checkpoint(folder):
    return torch.load(folder / FOLD / "checkpoint_final.pth", weights_only=False)


def test_gradients_weights_logs_and_resume(folders, monkeypatch):
    one, two = folders / "one", folders / "two"
    monkeypatch.setenv("nnUNet_results", str(one))
    monkeypatch.setattr(nnUNetTrainerImPulSe, "train_step", recording(folders / "one.pt"))
    monkeypatch.setattr(nnUNetTrainerImPulSe, "configure_optimizers", forgiving)
    monkeypatch.setattr(build, "cpu_has_bfloat16", lambda: False)  # rounds a batch of two otherwise than one of three
    entry.run_training(*NAMES, device=torch.device("cpu"))
    monkeypatch.setenv("nnUNet_results", str(two))
    with pytest.raises(multiprocessing.ProcessExitedException) as end:
        train_on_two(folders / "two.pt", stop_rank=1)  # the other rank learns of it and saves
    assert end.value.exit_code == 128 + signal.SIGTERM
    train_on_two(folders / "unused.pt", resume=True)

    gradients = [torch.load(folders / f"{name}.pt", weights_only=True) for name in ("one", "two")]
    scale = max(float(g.abs().max()) for g in gradients[0].values())
    for name, wanted in gradients[0].items():
        close(gradients[1][name], wanted, 1e-4 * scale, f"gradient of {name}")
    wanted, found = checkpoint(one), checkpoint(two)
    assert list(found["network_weights"]) == list(wanted["network_weights"])
    for name, weights in wanted["network_weights"].items():
        close(found["network_weights"][name], weights, 2e-5, name)
    for key in ("train_losses", "val_losses", "mean_fg_dice"):
        assert found["logging"][key] == pytest.approx(wanted["logging"][key], rel=1e-3)
    assert len(list((two / FOLD).glob("training_log_*.txt"))) == 2  # one a call, not one a rank
    summaries = [json.loads((folder / FOLD / "validation" / "summary.json").read_text()) for folder in (one, two)]
    assert [len(summary["metric_per_case"]) for summary in summaries] == [2, 2]
    dice = [summary["foreground_mean"]["Dice"] for summary in summaries]
    assert dice[1] == pytest.approx(dice[0], abs=0.01)
