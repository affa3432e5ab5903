"""Estimates of one mean agree with scipy, say their method, and say why when they can't be had."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ft_eval.stats import mean_estimate, proportion_estimate


def test_stderr_is_lm_evals_sample_stderr():
    scores = np.random.default_rng(0).normal(size=57)
    assert mean_estimate(scores).stderr == pytest.approx(math.sqrt(np.var(scores, ddof=1) / 57), abs=1e-14)
    assert mean_estimate([1, 0, 1, 1]).stderr == pytest.approx(stats.sem([1, 0, 1, 1]), abs=1e-14)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_is_scipys(counts):
    num_successes, n = counts
    expected = stats.binomtest(num_successes, n).proportion_ci(0.95, method="wilson")
    estimate = proportion_estimate(num_successes, n)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-10)


def test_wilson_interval_never_leaves_the_unit_interval():
    nothing, everything = proportion_estimate(0, 20), proportion_estimate(20, 20)
    assert nothing.low == 0.0 < nothing.high
    assert everything.low < 1.0 == everything.high


def test_t_interval_is_scipys():
    scores = np.random.default_rng(1).exponential(size=23)
    expected = stats.ttest_1samp(scores, 0.0).confidence_interval(0.95)
    estimate = mean_estimate(scores)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-10)


def test_the_method_follows_the_data():
    assert "Wilson" in mean_estimate([0.0, 1.0, 1.0]).method
    assert "t interval" in mean_estimate([0.0, 1.0, 0.5]).method


@pytest.mark.parametrize("scores", [[1.0], [0.5]])
def test_one_item_has_a_mean_but_no_stderr_and_the_reason_is_said(scores):
    estimate = mean_estimate(scores)
    assert estimate.mean == scores[0]
    assert math.isnan(estimate.stderr)
    assert estimate.reason == "one item has no spread"


def test_no_item_has_nothing_but_a_reason():
    estimate = mean_estimate([])
    assert math.isnan(estimate.mean)
    assert estimate.n == 0
    assert estimate.reason == "no scored item"


def test_equal_scores_have_no_spurious_spread():
    """0.3 - 0.1 repeated has a floating-point variance of about 1e-34, which must not become a standard error."""
    assert mean_estimate([0.3 - 0.1] * 7).stderr == 0.0


@pytest.mark.parametrize("scores", [[math.nan, 1.0], [math.inf], [[1.0, 0.0]]])
def test_scores_that_are_no_scores_are_refused(scores):
    with pytest.raises(ValueError, match=r"not finite|one dimension"):
        mean_estimate(scores)


@pytest.mark.parametrize("counts", [(3, 2), (-1, 4), (0, 0)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="expected 0 <= num_successes <= n"):
        proportion_estimate(*counts)
