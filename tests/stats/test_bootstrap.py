"""The bootstrap is scipy's BCa, repeats itself, and agrees with Fieller on many items."""

import math

import numpy as np
import pytest
from scipy import stats

from ft_eval.stats import bootstrap_gain, gain_interval
from ft_eval.stats.bootstrap import resampled_totals

RNG = np.random.default_rng(3)
BASE = RNG.gamma(2.0, size=35)
LATENT = BASE * RNG.uniform(0.8, 1.5, size=35)


def ratio_of_means(base, latent, axis):
    return latent.mean(axis=axis) / base.mean(axis=axis)


def test_from_the_same_resamples_the_ends_are_scipys():
    expected = stats.bootstrap(
        (BASE, LATENT),
        ratio_of_means,
        paired=True,
        vectorized=True,
        n_resamples=999,
        method="BCa",
        rng=np.random.default_rng(8),
    ).confidence_interval
    gain = bootstrap_gain(BASE, LATENT, num_resamples=999, seed=8)
    ends = (1.0 + gain.low / 100.0, 1.0 + gain.high / 100.0)
    assert ends == pytest.approx((expected.low, expected.high), abs=1e-10)


def test_the_same_seed_gives_the_same_ends_and_another_seed_others():
    first, again, other = (bootstrap_gain(BASE, LATENT, num_resamples=299, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.low != other.low


def test_on_many_items_it_agrees_with_fieller():
    base = (RNG.random(3000) < 0.4).astype(float)
    latent = np.where(RNG.random(3000) < 0.2, 1.0 - base, base)
    found, expected = bootstrap_gain(base, latent), gain_interval(base, latent)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.7)
    assert found.percent == expected.percent


def test_scores_of_few_values_are_resampled_like_any_others():
    """Drawn as counts of distinct pairs, the totals have the mean and the covariance of drawn items."""
    sums = np.repeat([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], [20, 10, 40, 30], axis=0)
    totals = resampled_totals(sums, 40_000, 0)
    assert totals.mean(axis=0) == pytest.approx(sums.sum(axis=0), abs=0.2)
    assert np.cov(totals.T) == pytest.approx(100 * np.cov(sums.T, ddof=0), abs=0.6)


def test_clusters_are_drawn_whole():
    names = np.repeat(np.arange(7), 5)
    sums = np.stack([BASE.reshape(7, 5).sum(axis=1), LATENT.reshape(7, 5).sum(axis=1)], axis=1)
    found, expected = bootstrap_gain(BASE, LATENT, clusters=names), bootstrap_gain(sums[:, 0], sums[:, 1])
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_baseline_that_may_be_nothing_has_no_gain():
    gain = bootstrap_gain(np.repeat([1, 0], [2, 100]), np.ones(102))
    assert math.isnan(gain.low)
    assert gain.reason == "the baseline's 95 % interval reaches 0"


def test_a_resample_without_a_right_answer_has_no_ratio_and_it_is_said():
    gain = bootstrap_gain(np.repeat([1, 0], [6, 60]), np.ones(66), num_resamples=4_000)
    assert gain.reason == "a resample has a baseline of 0"
