"""AdamW's state goes from one kind of device to another; how a step is computed does not."""

import copy
import math

import pytest
import torch

from impulse_nnunet.training.optimiser import adamw, keep_average, load_optimiser, steps_of, use_average

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


def test_the_running_mean_by_hand():
    value = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([value], 1.0, momentum=0.0)
    keep_average(optimiser, 0.15)
    optimiser.state[value] = {"step": 0}  # as AdamW's
    for _ in range(3):
        value.grad = -torch.ones(1)
        optimiser.step()  # 1, 2, 3
    # 1; it keeps 2/11 > 0.15, so 0.15 of 1 and 0.85 of 2; 0.15 of that and 0.85 of 3
    torch.testing.assert_close(optimiser.state[value]["average"], torch.tensor([0.15 * 1.85 + 0.85 * 3]))
    assert value.item() == 3
    use_average(optimiser)
    torch.testing.assert_close(value.detach(), torch.tensor([2.8275]))


def test_the_first_steps_are_soon_forgotten():
    value = torch.nn.Parameter(torch.full((1,), 100.0))
    optimiser = torch.optim.SGD([value], 0.0)
    keep_average(optimiser, 0.999)
    optimiser.state[value] = {"step": 0}
    for step in range(50):
        with torch.no_grad():
            value.fill_(100.0 if step == 0 else 0.0)
        value.grad = torch.zeros(1)
        optimiser.step()
    # what is left of the first is the product of n / (n + 9) over n = 2 ... 50
    expected = 100 * math.prod(n / (n + 9) for n in range(2, 51))
    torch.testing.assert_close(optimiser.state[value]["average"].item(), expected, rtol=1e-4, atol=0)
    assert expected < 1e-4


def test_the_running_mean_goes_on_from_its_state():
    whole, halves = parameters(), parameters()
    undisturbed = adamw(whole, 1e-2, CPU)
    keep_average(undisturbed, 0.9)
    trained(undisturbed, 3)
    before = adamw(halves, 1e-2, CPU)
    keep_average(before, 0.9)
    trained(before, 3)
    after = adamw(halves, 1e-2, CPU)
    keep_average(after, 0.9)
    load_optimiser(after, copy.deepcopy(before.state_dict()))
    for optimiser in (undisturbed, after):
        trained(optimiser, 4)
        use_average(optimiser)
    assert after.param_groups[0]["averaged"] == 7
    assert all(torch.equal(a, b) for a, b in zip(whole, halves, strict=True))


def test_without_a_mean_nothing_is_used():
    values = parameters()
    optimiser = trained(adamw(values, 1e-2, CPU), 2)
    before = [value.detach().clone() for value in values]
    use_average(optimiser)
    assert all(torch.equal(a, b) for a, b in zip(values, before, strict=True))
