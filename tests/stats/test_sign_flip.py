"""The sign-flip test is scipy's, in all three ways of making it, and McNemar's for 0/1 scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ft_eval.stats import mcnemar_exact_p, mcnemar_mid_p, sign_flip_test
from ft_eval.stats.sign_flip import lattice_distribution

RNG = np.random.default_rng(31)


def scipy_p(values):
    result = stats.permutation_test(
        [values], lambda x, axis: x.sum(axis=axis), permutation_type="samples", n_resamples=100_000, vectorized=True
    )
    return result.pvalue


def test_writing_out_all_patterns_gives_scipys_p():
    for n in (2, 7, 12):
        values = RNG.normal(0.4, 1.0, size=n)
        found = sign_flip_test(values)
        assert found.p_value == pytest.approx(scipy_p(values), abs=1e-10)
        assert found.is_exact


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=11))
def test_the_transformed_distribution_gives_the_p_of_all_patterns(steps):
    values = np.array(steps) / 5
    found, written_out = sign_flip_test(values, step=1 / 5), sign_flip_test(values)
    assert found.p_value == pytest.approx(written_out.p_value, abs=1e-10)
    assert found.p_mid == pytest.approx(written_out.p_mid, abs=1e-10)


@given(st.integers(0, 400), st.integers(0, 400))
def test_for_0_1_scores_it_is_mcnemars_test(num_wins, num_losses):
    values = np.repeat([1.0, -1.0, 0.0], [num_wins, num_losses, 3])
    found = sign_flip_test(values, step=1.0)
    assert found.p_value == pytest.approx(mcnemar_exact_p(num_wins, num_losses), abs=1e-10)
    assert found.p_mid == pytest.approx(mcnemar_mid_p(num_wins, num_losses), abs=1e-10)


def test_a_distribution_of_sums_adds_up_and_is_symmetric():
    chances = lattice_distribution(RNG.integers(0, 17, size=3000))
    assert chances.sum() == pytest.approx(1.0, abs=1e-12)
    assert chances == pytest.approx(chances[::-1], abs=1e-15)


def test_random_patterns_come_near_the_exact_p_and_never_to_zero():
    values = RNG.integers(-8, 10, size=60) / 8
    exact, random = sign_flip_test(values, step=1 / 8), sign_flip_test(values, num_flips=20_000)
    assert not random.is_exact
    assert random.p_value == pytest.approx(exact.p_value, abs=0.01)
    assert sign_flip_test(np.full(50, 0.3), num_flips=99).p_value == 1 / 100


def test_the_same_seed_gives_the_same_p_and_another_seed_another():
    values = RNG.normal(0.1, 1.0, size=80)
    first, again, other = (sign_flip_test(values, num_flips=499, seed=seed).p_value for seed in (5, 5, 6))
    assert first == again != other


def test_sums_that_differ_by_rounding_are_ties():
    """0.1 + 0.2 - 0.3 is not 0 in floating point, but it is as far from 0 as its mirror."""
    assert sign_flip_test([0.1, 0.2, -0.3]).p_value == 1.0
    assert sign_flip_test([0.1, 0.1, 0.1]).p_value == 0.25


@pytest.mark.parametrize("values", [[], [0.0, 0.0]])
def test_without_a_difference_p_is_one(values):
    assert sign_flip_test(values).p_value == 1.0
    assert sign_flip_test(values, step=0.5).p_mid == 1.0


def test_differences_that_do_not_fit_the_step_are_refused():
    with pytest.raises(ValueError, match="multiple"):
        sign_flip_test([0.3], step=0.25)
    with pytest.raises(ValueError, match="num_flips"):
        sign_flip_test([0.3], num_flips=0)
