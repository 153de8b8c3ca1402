import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.statistics import (
    Resampling,
    finite_deviation,
    finite_mean,
    holm,
    mean_interval,
    paired_test,
    sign_flip_test,
    t_test,
)

FEW = Resampling(bootstrap=500, permutations=500)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=8).map(np.array)


def test_mean_and_deviation_leave_nan_out():
    assert finite_mean([1, math.nan, 3]) == 2
    assert finite_deviation([1, math.nan, 3]) == pytest.approx(math.sqrt(2))  # (1 + 1) / (2 - 1)
    assert math.isnan(finite_mean([math.nan]))
    assert math.isnan(finite_deviation([1, math.nan]))


def test_interval_of_two_numbers_by_hand():
    # the mean of two draws from {0, 1} is 0, 0.5 or 1 with chances 1/4, 1/2, 1/4: the quartiles' interval ends at the
    # edges, and the middle 40 % are all 0.5
    low, high = mean_interval(np.array([0.0, 1.0]), Resampling(level=0.95, bootstrap=2000))
    assert (low, high) == (0, 1)
    low, high = mean_interval(np.array([0.0, 1.0]), Resampling(level=0.4, bootstrap=2000))
    assert (low, high) == (0.5, 0.5)


def test_interval_of_many_numbers_is_the_normal_one():
    values = np.random.default_rng(1).normal(3, 2, 400)
    low, high = mean_interval(values, Resampling(bootstrap=10_000))
    half = 1.959964 * values.std() / 20
    np.testing.assert_allclose([low, high], [values.mean() - half, values.mean() + half], atol=0.05 * half)


def test_interval_covers_the_true_mean_as_often_as_it_says():
    # 300 samples of 40: the count that covers is binomial, 0.9 +- 0.017; four deviations and the known small shortfall
    samples = np.random.default_rng(2).normal(size=(300, 40))
    intervals = [mean_interval(sample, Resampling(level=0.9, bootstrap=500)) for sample in samples]
    assert 0.81 < np.mean([low <= 0 <= high for low, high in intervals]) < 0.97


def test_interval_needs_two_numbers():
    assert all(math.isnan(end) for end in mean_interval(np.array([1.0, math.nan]), FEW))
    assert mean_interval(np.array([2.0, 2.0]), FEW) == (2, 2)


def test_the_seed_decides():
    values = np.random.default_rng(0).normal(size=(2, 30))
    assert paired_test(*values, FEW) == paired_test(*values, FEW)
    other = Resampling(bootstrap=500, permutations=500, seed=1)
    assert paired_test(*values, FEW).low != paired_test(*values, other).low
    assert paired_test(*values, FEW).p_permutation != paired_test(*values, other).p_permutation


def test_paired_t_test_by_hand():
    # differences 1, 2, 3: mean 2, deviation 1, t = 2 sqrt(3) with 2 degrees of freedom;
    # the distribution there is 1/2 + t / (2 sqrt(2 + t^2)), so p = 1 - sqrt(12 / 14)
    assert t_test(np.array([1.0, 2.0, 3.0])) == pytest.approx(1 - math.sqrt(12 / 14))


def test_paired_t_test_is_scipys():
    values, reference = np.random.default_rng(3).normal(size=(2, 25))
    assert paired_test(values, reference, FEW).p_t == pytest.approx(stats.ttest_rel(values, reference).pvalue)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        # of the 8 signs only +++ and --- are as far from 0 as 6
        ([1, 2, 3], 2 / 8),
        # sums: 6 4 2 0 0 -2 -4 -6; those with at least 4: 6, 4, -4, -6
        ([-1, 2, 3], 4 / 8),
        # sum 0: everything is at least as far
        ([1, 2, -3], 1),
        # the same, although 0.1 + 0.2 is not 0.3 for the machine
        ([0.1, 0.2, -0.3], 1),
        # the zeros change nothing
        ([1, 0, 2, 0, 3, 0], 2 / 8),
        # one pair differs: both signs are as far
        ([0, 0, 5], 1),
    ],
)
def test_sign_flips_by_hand(differences, expected):
    assert sign_flip_test(np.array(differences, float), 10_000, 0) == pytest.approx(expected)


def test_sign_flips_are_enumerated_as_soon_as_they_can_be():
    # 2^10 = 1024; all of one sign: 2 of 1024. With 1023 random ones the least is 2 / 1024 too, so ask for 1000.
    differences = np.arange(1.0, 11.0)
    assert sign_flip_test(differences, 1024, 0) == pytest.approx(2 / 1024)
    assert sign_flip_test(differences, 1000, 0) >= 2 / 1001


def test_random_sign_flips_come_near_wilcoxons_kin_the_t_test():
    differences = np.random.default_rng(4).normal(0.3, 1, 160)
    ours = sign_flip_test(differences, 10_000, 0)
    assert ours == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.002)


def test_pairs_with_nan_are_left_out_and_counted():
    values = np.array([1.0, math.nan, 3.0, 5.0, 4.0])
    reference = np.array([0.0, 1.0, math.nan, 3.0, 1.0])
    # differences 1, 2, 3
    result = paired_test(values, reference, FEW)
    assert (result.n_pairs, result.difference) == (3, 2)
    assert result.p_t == pytest.approx(1 - math.sqrt(12 / 14))
    assert result.p_permutation == pytest.approx(2 / 8)
    assert 1 <= result.low < 2 < result.high <= 3


@pytest.mark.parametrize("n_pairs", [0, 1])
def test_too_few_pairs_give_nan(n_pairs):
    result = paired_test(np.full(n_pairs, 2.0), np.full(n_pairs, 1.0), FEW)
    assert result.n_pairs == n_pairs
    assert all(math.isnan(number) for number in (result.low, result.high, result.p_t, result.p_permutation))


def test_no_difference_gives_one():
    result = paired_test(np.arange(5.0), np.arange(5.0), FEW)
    assert (result.difference, result.low, result.high, result.p_t, result.p_permutation) == (0, 0, 0, 1, 1)


def test_the_same_difference_everywhere_leaves_only_the_permutation_test():
    # 0.3 - 0.2 and 0.4 - 0.3 differ in the last bits; all four of one sign: 2 of 16
    result = paired_test(np.array([0.3, 0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.4, 0.5]), FEW)
    assert math.isnan(result.p_t)
    assert result.p_permutation == pytest.approx(2 / 16)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"values have shape \(2,\), reference \(3,\); expected the same cases"):
        paired_test(np.zeros(2), np.zeros(3), FEW)


def test_holm_by_hand():
    # sorted 0.01 0.02 0.03 0.4, times 4 3 2 1: 0.04 0.06 0.06 0.4
    np.testing.assert_allclose(holm(np.array([0.03, 0.4, 0.01, 0.02])), [0.06, 0.4, 0.04, 0.06])
    # 0.04 * 3 = 0.12, then 0.05 * 2 = 0.10 may not be smaller, then 0.9
    np.testing.assert_allclose(holm(np.array([0.05, 0.9, 0.04])), [0.12, 0.9, 0.12])
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1, 1])


def test_holm_leaves_nan_out():
    # two tests are left: 0.01 * 2, 0.04 * 1
    np.testing.assert_allclose(holm(np.array([math.nan, 0.04, 0.01])), [math.nan, 0.04, 0.02])
    assert np.isnan(holm(np.array([math.nan]))).all()


@given(p_values)
def test_holm_lies_between_the_p_values_and_bonferroni(values):
    corrected = holm(values)
    assert (corrected >= values).all()
    assert (corrected <= np.minimum(1, values * len(values))).all()
    assert corrected.min() == min(1, values.min() * len(values))


@given(p_values, st.randoms(use_true_random=False))
def test_holm_does_not_depend_on_the_order(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    np.testing.assert_array_equal(holm(values[order]), holm(values)[order])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": 1.0}, r"level: found 1.0, expected a number between 0 and 1; e.g. 0.95"),
        ({"bootstrap": 0}, "bootstrap: found 0, expected at least 1"),
        ({"permutations": 0}, "permutations: found 0, expected at least 1"),
        ({"seed": -1}, "seed: found -1, expected at least 0"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(InputError, match=message):
        Resampling(**settings)
