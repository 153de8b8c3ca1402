"""Training on a real GPU: a tiny one with an interruption, every system's gradients, one rank of NCCL.

``IMPULSE_TEST_DEVICE=cpu`` rehearses all of it on the CPU (with Gloo), so that it cannot be broken on first contact.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import distributed

from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.network import SYSTEMS
from impulse_nnunet.settings import LossSettings, RegionSettings, network_task
from impulse_nnunet.training.batches import Sample
from impulse_nnunet.training.inputs import InputMaker
from impulse_nnunet.training.losses import point_loss
from tests.device.tiny_model import DEVICE, EPOCHS, MARKS, ON_GPU, STEPS, STOPPED_AT, say, trainer_on
from tests.support import settings_for

pytestmark = MARKS


def test_sigterm_and_going_on_lose_no_step(model):
    assert model.exit_code == 143
    assert model.epoch == 1
    assert model.steps == [2 * STEPS - STOPPED_AT + 1, *[STEPS] * (EPOCHS - 2)]
    assert len(model.losses) == EPOCHS
    assert np.isfinite(model.losses).all()
    assert model.losses[-1] < model.losses[0]
    assert (model.folder / "fold_0" / "checkpoint_final.pth").is_file()
    assert (model.folder / "fold_0" / "validation" / "summary.json").is_file()


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("co_trained", [False, True], ids=["fixed", "co-trained"])
def test_every_system_has_finite_gradients(data, system, co_trained):
    made = trainer_on(DEVICE)
    made.initialize()
    task = made_task(made, co_trained)
    network = SYSTEMS[system].build(task).to(DEVICE).train()
    batch = random_batch(task, SYSTEMS[system].dense)
    for head in (getattr(network.decoder, part, None) for part in ("deformation", "correction")):
        if head is not None:
            torch.nn.init.normal_(head.last.weight, 0, 0.1)  # zero at first, and so would be most gradients
    prediction, found = network(batch.images, batch.points, batch.search, at_voxels=batch.points is None)
    loss = point_loss(prediction, batch.labels, LossSettings()) + point_loss(found, batch.foreground, LossSettings())
    loss.backward()
    assert bool(torch.isfinite(loss))
    for name, parameter in network.named_parameters():
        assert parameter.device.type == DEVICE.type
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name


def made_task(made, co_trained):
    task = network_task(made.configuration_manager.configuration, 1, 6)
    small = replace(task.settings, template_grid=(12, 12, 12))
    return replace(task, co_trained=co_trained, settings=small)


def random_batch(task, dense):
    region = RegionSettings(mode="two_pass", search_grid=task.search_grid)
    settings = settings_for(task.input_grid, (24, 28, 32), region=region)
    samples = []
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        volume = torch.randn(1, 24, 28, 32, generator=generator).half()
        number = int(np.prod(task.input_grid)) if dense else 64
        points = None if dense else 2 * torch.rand(64, 3, generator=generator) - 1
        search = Sample(
            volume=volume,
            box=Box.whole(),
            points=torch.rand(64, 3),
            labels=torch.randint(0, 2, (64,), generator=generator),
            seed=seed,
        )
        labels = torch.randint(0, task.number_of_classes, (number,), generator=generator)
        samples.append(
            Sample(
                volume=volume,
                box=Box.from_faces([-0.8] * 3, [0.8] * 3),
                points=points,
                labels=labels,
                seed=seed,
                search=search,
            )
        )
    return InputMaker(settings, DEVICE, augment=True)(samples)


def test_ten_steps_twice(data, capsys):
    """Reported, not asked for: backward passes on a GPU add in an order of their own."""
    runs = []
    for _ in range(2):
        made = trainer_on(DEVICE)
        made.disable_checkpointing = True
        losses = []
        step = made.train_step

        def counted(batch, made=made, step=step, losses=losses):
            losses.append(float(step(batch)["loss"]))
            if len(losses) == 10:
                made.num_epochs = 0
                raise KeyboardInterrupt
            return {"loss": torch.tensor(losses[-1])}

        made.train_step = counted
        with pytest.raises(KeyboardInterrupt):
            made.run_training()
        runs.append((losses, {name: value.cpu() for name, value in made.bare_network().state_dict().items()}))
    (first, weights), (second, others) = runs
    apart = max(float((weights[name].float() - others[name].float()).abs().max()) for name in weights)
    losses = max(abs(a - b) for a, b in zip(first, second, strict=True))
    say(capsys, f"ten steps twice on {DEVICE}: largest difference of weights {apart:g}, of losses {losses:g}")
    assert len(first) == len(second) == 10


def test_one_rank_trains_with_nccl(data, tmp_path):
    """NCCL where there is a GPU, Gloo in the rehearsal."""
    distributed.init_process_group(
        "nccl" if ON_GPU else "gloo",
        init_method=f"file://{tmp_path}/meet",
        rank=0,
        world_size=1,
        device_id=torch.device("cuda", 0) if ON_GPU else None,
    )
    try:
        made = trainer_on(DEVICE)
        assert made.is_ddp
        made.disable_checkpointing = True
        made.num_epochs = 1
        began = time.time()
        made.run_training()
        assert time.time() - began < 60
        assert np.isfinite(made.logger.get_value("train_losses", step=None)).all()
        assert all(bool(torch.isfinite(p).all()) for p in made.bare_network().parameters())
    finally:
        distributed.destroy_process_group()
