import numpy as np
import torch

from impulse_nnunet.trainers.interruption import PARTIAL_EPOCH, PartialEpoch
from impulse_nnunet.trainers.resume import random_states, set_random_states

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
STATES = [torch.arange(4, dtype=torch.uint8), torch.arange(5, 9, dtype=torch.uint8)]


def test_both_kinds_of_random_states_come_back_by_rank(tmp_path):
    on_gpus = [torch.full((16,), 7, dtype=torch.uint8), torch.full((16,), 8, dtype=torch.uint8)]
    PartialEpoch(
        epoch=3, optimiser_steps=40, losses=[[0.5, 0.25], [1.0, 2.0]], random_states=STATES, device_states=on_gpus
    ).save(tmp_path)
    found = PartialEpoch.load(tmp_path, 3, 40)
    assert torch.equal(found.random_state(1), STATES[1])
    assert torch.equal(found.device_state(0), on_gpus[0])
    assert torch.equal(found.device_state(1), on_gpus[1])
    assert torch.equal(found.device_state(2), on_gpus[0])  # more ranks than before share
    np.testing.assert_array_equal([output["loss"] for output in found.outputs(1)], [1.0, 2.0])


def test_a_file_of_a_version_before_has_no_state_of_a_gpu(tmp_path):
    content = {"epoch": 3, "optimiser_steps": 40, "losses": [[0.5]], "random_states": STATES[:1]}
    torch.save(content, tmp_path / PARTIAL_EPOCH)
    found = PartialEpoch.load(tmp_path, 3, 40)
    assert torch.equal(found.random_state(0), STATES[0])
    assert found.device_state(0) is None


def test_the_state_of_the_cpu_goes_on_where_it_stood(monkeypatch):
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda *arguments: set_on_gpu.append(arguments))
    set_on_gpu, own = [], torch.get_rng_state()
    torch.manual_seed(5)
    state, on_gpu = random_states(CPU)
    assert on_gpu is None
    expected = torch.rand(3)
    set_random_states(PartialEpoch(epoch=0, optimiser_steps=1, losses=[[]], random_states=[state]), 0, CPU)
    assert torch.equal(torch.rand(3), expected)
    # from a GPU to the CPU and back: what there is none of is left alone
    set_random_states(
        PartialEpoch(epoch=0, optimiser_steps=1, losses=[[]], random_states=[state], device_states=[STATES[1]]), 0, CPU
    )
    set_random_states(PartialEpoch(epoch=0, optimiser_steps=1, losses=[[]], random_states=[state]), 0, GPU)
    assert set_on_gpu == []
    set_random_states(
        PartialEpoch(epoch=0, optimiser_steps=1, losses=[[]], random_states=[state], device_states=[STATES[1]]), 0, GPU
    )
    assert set_on_gpu == [(STATES[1], GPU)]
    torch.set_rng_state(own)


def test_the_state_of_a_gpu_is_asked_for_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: (device, "state"))
    assert random_states(GPU)[1] == (GPU, "state")
