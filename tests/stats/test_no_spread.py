"""Scores that all stayed the same give an interval of their number, not a point; other constant differences none."""

import math

import numpy as np
import pytest

from ft_eval.stats import (
    Criteria,
    Independent,
    Verdict,
    bootstrap_gain,
    cluster_estimate,
    compare_draws,
    compare_macro,
    compare_paired,
    compare_unpaired,
    decide_comparison,
    detectable_after,
    equivalence_p,
    gain_interval,
    paired_score_interval,
    pooled_effect,
)
from ft_eval.stats.no_spread import ALIKE, NOTHING_CHANGED, num_stratified_units, num_units

RNG = np.random.default_rng(5)
DRAWS = (RNG.random((60, 4)) < 0.5).astype(float)


def ends(comparison):
    return comparison.difference.low, comparison.difference.high


def all_ends(comparison):
    return *ends(comparison), comparison.interval_90.low, comparison.interval_90.high


def test_unchanged_draws_are_as_wide_as_unchanged_0_1_scores_of_as_many_items():
    plain = compare_paired(DRAWS[:, 0], DRAWS[:, 0])
    result = compare_draws(DRAWS, DRAWS)
    assert ends(result) == ends(plain) == paired_score_interval(0, 0, 60)
    assert result.interval_90 == plain.interval_90
    assert (result.difference.mean, result.p_value) == (0.0, 1.0)
    assert "no score changed" in result.difference.method


def test_unchanged_shares_of_one_draw_too():
    shares = RNG.random(30)
    assert ends(compare_paired(shares, shares)) == paired_score_interval(0, 0, 30)


def test_unchanged_clusters_count_and_not_their_items():
    clusters = np.repeat(np.arange(6), 10)
    assert ends(compare_draws(DRAWS, DRAWS, clusters=clusters)) == paired_score_interval(0, 0, 6)


def test_a_cluster_that_holds_most_items_is_most_of_the_evidence():
    """Two of ten items each and one of eighty: 100² / (2 · 10² + 80²)."""
    names = np.repeat([0, 1, 2], [10, 10, 80])
    scores = np.ones(100)
    assert num_units(scores, scores, clusters=names) == pytest.approx(100**2 / 6600)
    assert ends(compare_draws(scores, scores, clusters=names)) == paired_score_interval(0, 0, 1)


def test_two_unchanged_clusters_are_not_equivalent_and_many_items_are():
    criteria = Criteria(margin=0.05)
    two = compare_draws(DRAWS, DRAWS, clusters=np.repeat([0, 1], 30))
    assert decide_comparison(two, 1.0, criteria).verdict is Verdict.UNRESOLVED
    many = np.tile(DRAWS, (10, 1))
    assert decide_comparison(compare_draws(many, many), 1.0, criteria).verdict is Verdict.EQUIVALENT


@pytest.mark.parametrize("scores", [np.array([-1.5, -2.5, -0.5]), np.array([0.0, 3.0, 1.0])])
def test_unchanged_scores_without_bounds_have_no_interval_and_say_why(scores):
    result = compare_paired(scores, scores)
    assert all(map(math.isnan, all_ends(result)))
    assert result.difference.reason == "no score changed, so its spread is unknown"
    assert (result.p_value, result.reason) == (1.0, "")


def test_a_difference_that_is_the_same_on_every_item_has_no_interval():
    """Two items that differ by half a point are no certainty of half a point."""
    result = compare_paired([0.25, 0.5], [0.75, 1.0])
    assert all(map(math.isnan, all_ends(result)))
    assert result.difference.reason == result.reason == "every item differs by the same amount"
    assert result.difference.mean == 0.5


def test_a_mean_over_tasks_without_a_change_is_bounded_by_the_smallest_task():
    small, large = np.ones(8), np.zeros(200)
    result = compare_macro([(small, small), (large, large)])
    assert ends(result) == paired_score_interval(0, 0, 16)
    assert math.isnan(num_stratified_units([3.0, math.nan]))
    assert math.isnan(num_stratified_units([]))


def test_two_samples_that_do_not_vary_have_no_interval():
    result = compare_unpaired(Independent(scores=np.full(5, 0.5)), Independent(scores=np.full(7, 0.5)))
    assert all(map(math.isnan, all_ends(result)))
    assert "vary" in result.difference.reason
    other = compare_unpaired(Independent(scores=np.full(5, 0.5)), Independent(scores=np.full(7, 0.75)))
    assert "vary" in other.reason


HALVES = np.full(60, 0.5)
THIRDS = np.tile([0.1, 0.2, 0.3], 40), np.tile([0.8, 0.5, 0.0], 40)
"""Three items of a cluster that change by +0.7, +0.3 and -0.3: their sums are alike but for rounding."""


def of_two_tasks(up, down):
    return compare_macro([(HALVES, HALVES + up), (HALVES, HALVES - down)])


def of_clusters(baseline, latent, size):
    return compare_draws(baseline, latent, clusters=np.repeat(np.arange(len(baseline) // size), size))


def one_gained_one_lost():
    return of_clusters(np.tile([0.0, 1.0], 200), np.tile([1.0, 0.0], 200), 2)


@pytest.mark.parametrize("result", [of_two_tasks(0.25, 0.25), of_two_tasks(0.1, 0.1), one_gained_one_lost()])
def test_changes_that_cancel_have_no_interval_and_are_not_equivalent(result):
    assert result.num_wins == result.num_losses > 0
    assert all(map(math.isnan, all_ends(result)))
    assert (result.difference.method, result.difference.reason) == ("none", ALIKE)
    assert (result.p_value, result.reason) == (1.0, "")
    assert decide_comparison(result, result.p_value, Criteria(margin=0.05)).verdict is Verdict.UNRESOLVED
    assert math.isnan(equivalence_p(result.difference, 0.05))
    assert math.isnan(detectable_after(result).difference)


@pytest.mark.parametrize("result", [of_two_tasks(0.25, 0.125), of_clusters(*THIRDS, 3)])
def test_changes_that_are_alike_and_do_not_cancel_have_no_test_either(result):
    assert result.difference.stderr == 0.0
    assert all(map(math.isnan, all_ends(result)))
    assert result.difference.reason == result.reason == ALIKE
    assert math.isnan(result.p_value)


def test_rounding_noise_alone_is_no_change_in_a_task_either():
    scores = np.full(60, 0.3)
    result = compare_macro([(scores, np.full(60, 0.1 + 0.2)), (scores, scores)])
    assert ends(result) == paired_score_interval(0, 0, 120)
    assert result.p_value == 1.0


def test_a_pool_of_tasks_says_whether_any_item_changed():
    still = cluster_estimate(np.zeros(60))
    assert pooled_effect([still, still]).effect.reason == NOTHING_CHANGED
    assert ends_of(pooled_effect([still, still], 120.0, has_changes=False)) == paired_score_interval(0, 0, 120)
    for cancelling in (
        pooled_effect([still, still], 120.0, has_changes=True),
        pooled_effect([cluster_estimate(np.full(60, 0.25)), cluster_estimate(np.full(60, -0.25))], 120.0),
        pooled_effect([one_gained_one_lost().difference, still], 120.0),
    ):
        assert all(map(math.isnan, ends_of(cancelling)))
        assert cancelling.effect.reason == ALIKE


def ends_of(pooled):
    return pooled.effect.low, pooled.effect.high


@pytest.mark.parametrize("gain", [gain_interval, bootstrap_gain])
@pytest.mark.parametrize(("scores", "size"), [((np.tile([0.0, 1.0], 200), np.tile([1.0, 0.0], 200)), 2), (THIRDS, 3)])
def test_a_gain_of_changes_that_are_alike_in_every_cluster_is_left_out(gain, scores, size):
    found = gain(*scores, clusters=np.repeat(np.arange(len(scores[0]) // size), size))
    assert all(map(math.isnan, (found.percent, found.low, found.high)))
    assert found.reason == ALIKE
    assert found.difference == pytest.approx(np.mean(scores[1] - scores[0]))


@pytest.mark.parametrize("gain", [gain_interval, bootstrap_gain])
@pytest.mark.parametrize("scores", [DRAWS, DRAWS[:, 0]])
def test_a_gain_of_scores_that_did_not_change_is_left_out(gain, scores):
    found = gain(scores, scores)
    assert math.isnan(found.percent)
    assert math.isnan(found.low)
    assert found.reason == "no score changed, so its spread is unknown"
    assert found.difference == 0.0


@pytest.mark.parametrize(("num_items", "share"), [(10, 0.01), (10, 0.1), (40, 0.01), (40, 0.03), (164, 0.01)])
def test_the_interval_covers_changes_that_are_rare(num_items, share):
    """4,000 runs of four draws: an item changes seldom, and then in all draws. In most runs few do, or none."""
    rng = np.random.default_rng(num_items)
    num_changed, times = np.unique(rng.binomial(num_items, share, size=4_000), return_counts=True)
    covered = 0
    for changed, often in zip(num_changed, times, strict=True):
        latent = np.zeros((num_items, 4))
        latent[:changed] = 1.0
        low, high = ends(compare_draws(np.zeros((num_items, 4)), latent, num_flips=9))
        covered += often * (low <= share <= high)
    assert covered >= 0.95 * 4_000
