"""Training on a CUDA device: the CPU's numbers, no waiting for the device, states that go from one to the other."""

import copy
import warnings

import pytest
import torch

from impulse_nnunet.network import SYSTEMS, Task
from impulse_nnunet.settings import LossSettings, RegionSettings, SamplingSettings
from impulse_nnunet.trainers.interruption import PartialEpoch
from impulse_nnunet.trainers.resume import random_states, set_random_states
from impulse_nnunet.training.batches import BatchMaker, CaseStore, OrderedPrefetcher
from impulse_nnunet.training.device_batches import DeviceBatches
from impulse_nnunet.training.images import random_intensities
from impulse_nnunet.training.inputs import InputMaker
from impulse_nnunet.training.losses import hard_counts, point_loss
from impulse_nnunet.training.optimiser import adamw, load_optimiser, steps_of
from tests.support import SMALL, MadeUpDataset, made_up_cases, settings_for

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
CPU, GPU = torch.device("cpu"), torch.device("cuda")
GRID = (8, 12, 16)
SETTINGS = settings_for(
    GRID,
    (10, 15, 20),
    sampling=SamplingSettings(points=64),
    region=RegionSettings(mode="two_pass", search_grid=(4, 6, 8)),
)


def batches_on(device, dense=False, augment=False, pin=False):
    store = CaseStore(MadeUpDataset(made_up_cases(3, (20, 24, 28))), SETTINGS, None, pin=pin)
    samples = OrderedPrefetcher(BatchMaker(store, SETTINGS, 0, 0, 2, dense), 2)
    return DeviceBatches(samples, InputMaker(SETTINGS, device, augment), device)


@pytest.mark.parametrize("dense", [False, True])
def test_batches_made_ahead_have_the_cpus_numbers(dense):
    here, there = batches_on(CPU, dense), batches_on(GPU, dense, pin=True)
    load = torch.randn(2048, 2048, device=GPU)
    for step in (0, 1, 2, 9, 10, 4):
        here.seek(step)
        there.seek(step)
        load = (load @ load).clamp(-1, 1)  # the training's stream is busy when it takes the batch
        for expected, found in zip(next(here).tensors(), next(there).tensors(), strict=True):
            assert found.device.type == "cuda"
            torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=2e-4)
    here.close()
    there.close()


def test_noise_follows_from_the_seed_and_leaves_torchs_own_random_numbers_alone():
    image, before = torch.randn(3, 16, 16, 16, device=GPU), torch.cuda.get_rng_state()
    first, again, other = (random_intensities(image, seed, SETTINGS.augmentation, (1,)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first[1], image[1])
    assert torch.equal(torch.cuda.get_rng_state(), before)


@pytest.fixture
def no_waiting():
    """Called, makes every wait for the device an error until the test ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that the mode may miss some
        yield lambda: torch.cuda.set_sync_debug_mode("error")
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("system", list(SYSTEMS))
def test_a_step_waits_for_nothing(system, no_waiting):
    network = (
        SYSTEMS[system]
        .build(Task(settings=SMALL, input_channels=1, number_of_classes=3, input_grid=GRID, search_grid=(4, 6, 8)))
        .to(GPU)
    )
    optimiser = adamw(network.parameters(), 1e-3, GPU)
    batches = batches_on(GPU, SYSTEMS[system].dense, augment=True, pin=True)
    made = [next(batches) for _ in range(3)]
    batches.close()

    def step(batch):
        prediction, found = network(batch.images, batch.points, batch.search, at_voxels=batch.points is None)
        loss = point_loss(prediction, batch.labels, LossSettings())
        loss = loss + point_loss(found, batch.foreground, LossSettings())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12.0)
        optimiser.step()
        return loss.detach(), hard_counts(prediction.logits, batch.labels)

    step(made[0])
    no_waiting()
    outputs = [step(batch) for batch in made[1:]]
    torch.cuda.set_sync_debug_mode("default")
    assert all(torch.isfinite(loss) for loss, _ in outputs)
    assert steps_of(optimiser) == 3


def test_the_encoder_alone_runs_in_half_precision():
    network = (
        SYSTEMS["impulse_plus"]
        .build(Task(settings=SMALL, input_channels=1, number_of_classes=3, input_grid=GRID))
        .eval()
    )
    network.encoder_bfloat16 = False
    with torch.no_grad():
        for head in (network.decoder.deformation, network.decoder.correction):
            head.last.weight.normal_(0, 0.3)
    image, points = torch.randn(1, 1, *GRID), torch.rand(1, 50, 3) * 2 - 1
    with torch.no_grad():
        expected = network(image, points)
        network.to(GPU)
        pyramid, found = network.encode(image.to(GPU)), network(image.to(GPU), points.to(GPU))
    assert pyramid[-1].dtype in (torch.bfloat16, torch.float16)
    assert found.logits.dtype == found.displacement.dtype == torch.float32
    # bfloat16 keeps 8 bits: half a per cent in each of a handful of layers
    assert (found.logits.cpu() - expected.logits).abs().mean() < 0.05 * expected.logits.abs().mean()


def test_large_inputs_do_not_overflow():
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("float16 alone")
    network = (
        SYSTEMS["impulse_plus"]
        .build(Task(settings=SMALL, input_channels=1, number_of_classes=3, input_grid=GRID))
        .to(GPU)
    )
    image = torch.full((1, 1, *GRID), 65504.0, device=GPU) * torch.rand(GRID, device=GPU)
    assert all(torch.isfinite(level).all() for level in network.encode(image))


def test_states_go_from_cpu_to_gpu_and_back():
    network = torch.nn.Linear(4, 4)
    here = adamw(network.parameters(), 1e-3, CPU)
    network(torch.ones(4)).sum().backward()
    here.step()
    other = copy.deepcopy(network).to(GPU)
    there = adamw(other.parameters(), 1e-3, GPU)
    load_optimiser(there, copy.deepcopy(here.state_dict()))
    assert all(state["step"].is_cuda for state in there.state.values())
    there.zero_grad()
    other(torch.ones(4, device=GPU)).sum().backward()
    there.step()
    assert steps_of(there) == 2
    saved = there.state_dict()
    saved["state"] = {
        number: {name: value.cpu() for name, value in state.items()} for number, state in saved["state"].items()
    }
    load_optimiser(here, saved)  # as it is read from a file
    assert here.param_groups[0]["fused"] is None
    assert not any(value.is_cuda for state in here.state.values() for value in state.values())
    here.step()
    assert steps_of(here) == 3


def test_dropout_goes_on_where_it_stood():
    torch.manual_seed(3)
    torch.rand(5, device=GPU)
    state, on_gpu = random_states(GPU)
    expected = torch.nn.functional.dropout(torch.ones(100, device=GPU))
    torch.manual_seed(4)
    set_random_states(
        PartialEpoch(epoch=0, optimiser_steps=1, losses=[[]], random_states=[state], device_states=[on_gpu]), 0, GPU
    )
    assert torch.equal(torch.nn.functional.dropout(torch.ones(100, device=GPU)), expected)
