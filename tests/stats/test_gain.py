"""The relative gain is the paper's, its interval Fieller's; both are left out, and why, where they mean nothing."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from ft_eval.stats import compare_paired, gain_interval, relative_gain
from ft_eval.stats.clusters import MeanCovariance
from ft_eval.stats.gain import fieller_ends

RNG = np.random.default_rng(44)
BASE = RNG.random(40) + 0.2
LATENT = BASE + RNG.normal(0.05, 0.2, size=40)


@pytest.mark.parametrize(
    ("baseline", "latent", "percent"), [(0.25, 0.30, 20.0), (0.3, 0.3, 0.0), (0.4, 0.1, -75.0), (20.0, 18.0, -10.0)]
)
def test_gain_is_the_difference_over_the_baseline(baseline, latent, percent):
    assert relative_gain(baseline, latent).percent == pytest.approx(percent)


@pytest.mark.parametrize(
    ("baseline", "reason"), [(0.0, "baseline 0"), (-1.5, "baseline below 0"), (math.nan, "a score is missing")]
)
def test_gain_over_nothing_is_undefined_and_says_why(baseline, reason):
    gain = relative_gain(baseline, 0.5)
    assert math.isnan(gain.percent)
    assert gain.reason == reason


def test_the_difference_stands_beside_the_gain_even_where_there_is_none():
    assert relative_gain(0.25, 0.30).difference == pytest.approx(0.05)
    assert relative_gain(0.0, 0.1).difference == pytest.approx(0.1)
    assert gain_interval([0, 0, 0], [0, 1, 1]).difference == pytest.approx(2 / 3)


def test_at_the_ends_of_the_interval_scipys_t_test_has_p_of_five_percent():
    gain = gain_interval(BASE, LATENT)
    for end in (gain.low, gain.high):
        rest = LATENT - (1.0 + end / 100.0) * BASE
        assert stats.ttest_1samp(rest, 0.0).pvalue == pytest.approx(0.05, abs=1e-10)
    assert gain.low < gain.percent < gain.high


def test_with_clusters_the_test_at_the_ends_is_over_clusters():
    gain = gain_interval(BASE, LATENT, clusters=np.repeat(np.arange(10), 4))
    for end in (gain.low, gain.high):
        rest = (LATENT - (1.0 + end / 100.0) * BASE).reshape(10, 4).mean(axis=1)
        assert stats.ttest_1samp(rest, 0.0).pvalue == pytest.approx(0.05, abs=1e-10)


def test_draws_are_averaged_first():
    draws = np.stack([BASE - 0.1, BASE + 0.1], axis=1)
    found, expected = gain_interval(draws, LATENT), gain_interval(BASE, LATENT)
    assert (found.percent, found.low, found.high) == pytest.approx((expected.percent, expected.low, expected.high))


@given(st.integers(0, 30), st.integers(0, 30), st.integers(20, 60), st.integers(0, 60))
def test_for_0_1_scores_the_interval_leaves_out_zero_only_where_mcnemar_rejects(wins, losses, both, neither):
    baseline = np.repeat([0, 1, 1, 0], [wins, losses, both, neither])
    latent = np.repeat([1, 0, 1, 0], [wins, losses, both, neither])
    gain = gain_interval(baseline, latent)
    assume(not gain.reason)
    holds_zero = gain.low <= 1e-9 and gain.high >= -1e-9
    assert holds_zero or compare_paired(baseline, latent).p_value < 0.05


@pytest.mark.parametrize(
    ("num_right", "chance", "reason"),
    [
        (0, 0.0, "the baseline's 95 % interval reaches 0"),
        (2, 0.0, "the baseline's 95 % interval reaches 0"),
        (45, 0.25, "the baseline's 95 % interval reaches chance level, 25 %"),
        (20, 0.25, "the baseline's 95 % interval reaches chance level, 25 %"),
    ],
)
def test_a_baseline_that_may_be_nothing_or_guessing_has_no_gain(num_right, chance, reason):
    baseline = np.repeat([1, 0], [num_right, 164 - num_right])
    gain = gain_interval(baseline, np.ones(164), chance=chance)
    assert math.isnan(gain.percent)
    assert math.isnan(gain.low)
    assert gain.reason == reason
    assert gain.difference == pytest.approx(1 - num_right / 164)


def test_a_baseline_well_above_chance_has_a_gain():
    assert gain_interval(np.repeat([1, 0], [90, 74]), np.ones(164), chance=0.25).low > 0.0


def test_no_item_or_one_has_a_reason():
    assert gain_interval([], []).reason == "no scored item"
    assert gain_interval([1.0], [1.0]).reason == "one item has no spread"


def test_scores_of_other_items_are_refused():
    with pytest.raises(ValueError, match="shape mismatch"):
        gain_interval([1.0, 0.0], [1.0])


def test_a_baseline_within_its_error_of_zero_has_no_fieller_interval():
    near = MeanCovariance(means=np.array([0.1, 0.2]), covariance=np.eye(2), degrees_of_freedom=20, num_clusters=21)
    with pytest.raises(ValueError, match="not away from 0"):
        fieller_ends(near)
