"""Prediction intervals: factors from a table of Student's t, and cases that went wrong."""

import numpy as np
import pytest

from impulse_nnunet.plausibility.intervals import inside, interval, prediction_factor


def test_factors():
    # t of 4 degrees of freedom beyond which 5e-5 lies is 15.544, of infinitely many 3.891 (tables of Student's t)
    assert prediction_factor(5) == pytest.approx(15.544 * np.sqrt(1.2), rel=1e-3)
    assert prediction_factor(10**6) == pytest.approx(3.891, rel=1e-3)


def test_equal_values_leave_the_floor():
    assert interval([2.0] * 6, 0.5) == (1.5, 2.5)


def test_one_wrong_case_does_not_open_the_interval():
    good = [10.0, 11.0, 9.0, 10.5, 9.5, 10.2, 9.8, 10.1, 10.4, 9.6]
    low, high = interval([*good, 1000.0], 0.1)
    assert high < 30
    assert low > -10


def test_honest_values_lie_inside():
    rng = np.random.default_rng(0)
    for number in (5, 10, 40):
        missed = [not inside(rng.normal(), interval(rng.normal(size=number), 0.0)) for _ in range(2000)]
        assert np.mean(missed) < 0.01
