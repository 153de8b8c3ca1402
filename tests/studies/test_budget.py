import pytest
from hypothesis import given
from hypothesis import strategies as st

from impulse_nnunet.errors import InputError
from impulse_nnunet.studies.budget import Budget


@pytest.mark.parametrize(
    ("steps", "epochs", "length"),
    [
        (1, 1, 1),
        (2, 1, 2),
        (40, 1, 40),
        (150, 3, 50),
        (400, 8, 50),
        (2000, 40, 50),
        (14000, 100, 140),
        (250_000, 1000, 250),
    ],
)
def test_steps_are_cut_into_epochs_of_equal_length(steps, epochs, length):
    assert Budget(steps).epochs() == (epochs, length)


@given(st.integers(1, 5000).map(lambda n: 50 * n))
def test_every_multiple_of_fifty_is_met_exactly(steps):
    epochs, length = Budget(steps).epochs()
    assert epochs * length == steps
    assert length <= 250


def test_steps_and_minutes_are_read():
    assert Budget.parse("2000") == Budget(2000)
    assert Budget.parse("30min") == Budget(minutes=30)
    assert Budget.parse("1.5 min") == Budget(minutes=1.5)
    assert (Budget(2000).slug, Budget(minutes=1.5).slug) == ("2000steps", "1p5min")


@pytest.mark.parametrize("text", ["", "0", "0min", "-5", "2k", "30m"])
def test_other_budgets_are_refused(text):
    with pytest.raises(InputError, match=r"`budget`: found .* expected steps or minutes"):
        Budget.parse(text)


def test_a_prime_number_of_steps_is_refused():
    with pytest.raises(InputError, match=r"`budget`: found 2003 steps, expected a multiple of 50"):
        Budget.parse("2003")


def test_both_trainers_get_the_same_number_of_steps():
    ours, stock = Budget(400).changes(), Budget(400).stock_entry(seed=3, mirroring=False)
    assert ours["impulse.training.epochs"] * ours["impulse.training.iterations"] == 400
    assert stock["epochs"] * stock["iterations"] == 400
    assert ours["impulse.training.max_minutes"] == stock["minutes"] == 0
    minutes = Budget(minutes=5)
    assert minutes.changes() == {"impulse.training.max_minutes": 5}
    assert (minutes.stock_entry(0, True)["epochs"], minutes.stock_entry(0, True)["minutes"]) == (0, 5)
