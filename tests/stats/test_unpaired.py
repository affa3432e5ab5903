"""Two independent samples are compared as scipy and the textbooks do, and the result says that it is unpaired."""

import math

import numpy as np
import pytest
from scipy import stats

from ft_eval.stats import Independent, compare_independent, compare_unpaired, macro_estimate
from ft_eval.stats.clusters import cluster_estimate


def sides(base, latent) -> tuple[Independent, Independent]:
    return Independent(scores=np.asarray(base, dtype=float)), Independent(scores=np.asarray(latent, dtype=float))


def binary(rng, n, share):
    return (rng.random(n) < share).astype(float)


def test_real_scores_are_scipys_welch_test_and_interval():
    rng = np.random.default_rng(0)
    base, latent = rng.normal(0.4, 0.1, 30), rng.normal(0.5, 0.3, 50)
    found, oracle = compare_unpaired(*sides(base, latent)), stats.ttest_ind(latent, base, equal_var=False)
    ends, inner = oracle.confidence_interval(0.95), oracle.confidence_interval(0.9)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-10)
    assert (found.difference.low, found.difference.high) == pytest.approx((ends.low, ends.high), rel=1e-10)
    assert found.interval_90 is not None
    assert (found.interval_90.low, found.interval_90.high) == pytest.approx((inner.low, inner.high), rel=1e-10)
    assert (found.is_unpaired, found.difference.n, found.num_wins, found.num_ties) == (True, 80, 0, 0)


def test_zeros_and_ones_are_the_pooled_z_test_and_newcombes_interval():
    """Newcombe (1998), table II, 56/70 against 48/80: 0.0524 to 0.3339."""
    found = compare_unpaired(*sides([1.0] * 48 + [0.0] * 32, [1.0] * 56 + [0.0] * 14))
    pooled = 104 / 150
    z = (0.8 - 0.6) / math.sqrt(pooled * (1 - pooled) * (1 / 70 + 1 / 80))
    assert found.p_value == pytest.approx(2 * stats.norm.sf(z), rel=1e-10)
    assert (found.difference.low, found.difference.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_no_spread_at_all_is_no_difference(value):
    found = compare_unpaired(*sides([value] * 9, [value] * 7))
    assert (found.p_value, found.difference.mean) == (1.0, 0.0)
    assert found.difference.low < 0.0 < found.difference.high


def test_interval_and_test_never_contradict_each_other():
    rng = np.random.default_rng(1)
    for _ in range(300):
        found = compare_unpaired(*sides(binary(rng, 40, 0.5), binary(rng, 25, 0.75)))
        if found.p_value >= 0.05:
            assert found.difference.low <= 0.0 <= found.difference.high


def test_equal_models_are_called_different_5_times_in_100():
    """10,000 trials, one seed; 164 and 300 items of share 0.4."""
    rng = np.random.default_rng(2)
    rights = rng.binomial([164, 300], 0.4, size=(10_000, 2))
    unique, counts = np.unique(rights, axis=0, return_counts=True)
    levels = [compare_unpaired(*_counts(*pair)).p_value < 0.05 for pair in unique.tolist()]
    assert 0.04 <= np.average(levels, weights=counts) <= 0.06


def _counts(base, latent) -> tuple[Independent, Independent]:
    return sides([1.0] * base + [0.0] * (164 - base), [1.0] * latent + [0.0] * (300 - latent))


def test_clusters_make_the_error_larger_where_their_items_agree():
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(30), 10)
    base, latent = (np.repeat(binary(rng, 30, share), 10) for share in (0.4, 0.6))
    plain = compare_unpaired(*sides(base, latent))
    held = compare_unpaired(*(Independent(scores=scores, clusters=clusters) for scores in (base, latent)))
    assert held.difference.mean == pytest.approx(plain.difference.mean)
    assert held.difference.stderr > 3 * plain.difference.stderr
    assert held.test.startswith("Welch")


def test_macro_means_are_compared_by_their_own_errors():
    rng = np.random.default_rng(4)
    base, latent = ([cluster_estimate(rng.random(n) + shift) for n in (20, 50)] for shift in (0.0, 0.3))
    found = compare_independent(macro_estimate(base), macro_estimate(latent))
    variance = sum(part.stderr**2 for part in (*base, *latent)) / 4
    assert found.difference.stderr == pytest.approx(math.sqrt(variance))
    assert found.p_value < 0.01


def test_one_item_has_no_test_and_says_why():
    found = compare_unpaired(*sides([0.3], [0.2, 0.4]))
    assert math.isnan(found.p_value)
    assert found.reason == "one item has no spread"
