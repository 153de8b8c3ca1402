"""AdamW's state goes from one kind of device to another; how a step is computed does not."""

import copy

import pytest
import torch

from impulse_nnunet.training.optimiser import adamw, load_optimiser, steps_of

CPU = torch.device("cpu")


def parameters():
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(3, 2, generator=generator)), torch.nn.Parameter(torch.ones(2))]


def trained(optimiser, steps):
    for step in range(steps):
        for group in optimiser.param_groups:
            for number, parameter in enumerate(group["params"]):
                parameter.grad = (parameter.detach() + step - number).clone()
        optimiser.step()
    return optimiser


def state_after(steps, fused):
    values = parameters()
    optimiser = trained(torch.optim.AdamW(values, 1e-2, weight_decay=0.1, fused=fused), steps)
    return values, copy.deepcopy(optimiser.state_dict())


def test_on_the_cpu_it_is_pytorchs_default():
    ours, theirs = parameters(), parameters()
    trained(adamw(ours, 1e-2, CPU, 0.1), 5)
    trained(torch.optim.AdamW(theirs, 1e-2, weight_decay=0.1), 5)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert trained(adamw(ours, 1e-2, CPU), 1).param_groups[0]["fused"] is None


def test_on_cuda_it_is_fused(monkeypatch):
    asked = {}
    monkeypatch.setattr(torch.optim, "AdamW", lambda *arguments, **named: asked.update(named))
    adamw(parameters(), 1e-2, torch.device("cuda"), 0.1)
    assert asked == {"weight_decay": 0.1, "fused": True}


def test_a_state_of_a_fused_optimiser_goes_on_unfused_here():
    _, saved = state_after(3, fused=True)
    values, exact = state_after(3, fused=None)
    assert saved["param_groups"][0]["fused"] is True
    optimiser = adamw(values, 1e-2, CPU, 0.1)  # loads the state of a run here, marked as fused
    load_optimiser(optimiser, copy.deepcopy(saved | {"state": exact["state"]}))
    assert optimiser.param_groups[0]["fused"] is None
    assert saved["param_groups"][0]["fused"] is True  # what was read is left as it is
    assert steps_of(optimiser) == 3
    trained(optimiser, 2)
    undisturbed, _ = state_after(3, fused=None)
    reference = adamw(undisturbed, 1e-2, CPU, 0.1)
    reference.load_state_dict(exact)
    trained(reference, 2)
    assert all(torch.equal(a, b) for a, b in zip(values, undisturbed, strict=True))
    assert steps_of(optimiser) == 5


def test_a_state_of_an_unfused_optimiser_goes_on_fused_there():
    values, saved = state_after(3, fused=None)
    optimiser = torch.optim.AdamW(values, 1e-2, weight_decay=0.1, fused=True)  # what a GPU has
    load_optimiser(optimiser, copy.deepcopy(saved))
    assert optimiser.param_groups[0]["fused"] is True
    assert steps_of(trained(optimiser, 2)) == 5
    exact, _ = state_after(3, fused=None)
    reference = torch.optim.AdamW(exact, 1e-2, weight_decay=0.1)
    reference.load_state_dict(saved)
    trained(reference, 2)
    for a, b in zip(values, exact, strict=True):
        torch.testing.assert_close(a, b)


def test_learning_rate_and_decay_come_from_the_state():
    _, saved = state_after(1, fused=None)
    optimiser = adamw(parameters(), 5.0, CPU, 0.7)
    load_optimiser(optimiser, copy.deepcopy(saved))
    assert (optimiser.param_groups[0]["lr"], optimiser.param_groups[0]["weight_decay"]) == (1e-2, 0.1)


def test_a_state_of_other_parameters_is_refused():
    _, saved = state_after(1, fused=None)
    with pytest.raises(ValueError, match="doesn't match the size"):
        load_optimiser(adamw(parameters()[:1], 1e-2, CPU), saved)
    with pytest.raises(ValueError, match="0 groups of parameters in the optimiser's state, expected 1"):
        load_optimiser(adamw(parameters(), 1e-2, CPU), saved | {"param_groups": []})


def test_steps_of_the_parameter_with_most():
    optimiser = adamw(parameters(), 1e-2, CPU)
    assert steps_of(optimiser) == 0
    first = optimiser.param_groups[0]["params"][0]
    first.grad = torch.ones_like(first)
    optimiser.step()
    assert steps_of(trained(optimiser, 2)) == 3
