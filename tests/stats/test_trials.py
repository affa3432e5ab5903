"""The vectorised formulas of the simulations are those of the plain functions, on random cases."""

import numpy as np
import pytest

from ft_eval.stats import compare_draws, compare_paired, gain_interval, holm
from ft_eval.stats.bootstrap import bca_ends
from ft_eval.stats.clusters import cluster_estimate, cluster_sums, mean_covariance
from ft_eval.stats.mcnemar import mid_p_values, score_distance
from tests.stats import trials

RNG = np.random.default_rng(2718)


def expand(counts, values):
    """Items from counts: the values, each as often as it was counted."""
    return np.repeat(values, counts.astype(int), axis=0)


@pytest.mark.parametrize("num_draws", [4, 16])
def test_t_tests_from_counts_are_those_of_compare_draws(num_draws):
    model = trials.sum_model((0.3, 0.4), num_draws)
    for counts in model.draw_counts(60, 20, RNG):
        base, latent = expand(counts, model.baseline), expand(counts, model.latent)
        plain = compare_draws(np.stack([base, base], axis=1), latent)
        differences = np.rint((model.latent - model.baseline) * num_draws).astype(int) + num_draws
        folded = np.bincount(differences, weights=counts, minlength=2 * num_draws + 1).astype(np.float64)
        mean, error = trials.mean_and_error(folded[None], model.differences()[0])
        assert trials.t_p_values(mean, error, 59)[0] == pytest.approx(plain.p_value, abs=1e-10)
        assert (mean[0], error[0]) == pytest.approx((plain.difference.mean, plain.difference.stderr), abs=1e-12)


def test_the_distribution_of_sums_has_the_means_that_were_asked_for():
    model = trials.sum_model((0.05, 0.4), 4)
    assert model.expected(model.baseline) == pytest.approx(0.05, abs=1e-9)
    assert model.expected(model.latent) == pytest.approx(0.4, abs=1e-9)
    values, chances = model.differences()
    assert float(chances @ values) == pytest.approx(0.35, abs=1e-9)


def test_the_same_model_twice_differs_by_its_draws_alone():
    """With no deviation of its own, the variance of a difference of K draws is 1 / K of that of one."""
    variances = []
    for num_draws in (1, 4):
        values, chances = trials.sum_model((0.4, 0.4), num_draws, 0.0).differences()
        variances.append(float(chances @ values**2))
    assert variances[1] == pytest.approx(variances[0] / 4, rel=1e-9)


def test_held_intervals_cover_where_their_ends_say_so():
    counts = RNG.multinomial(40, (0.15, 0.1, 0.75), size=60)
    wins, losses = counts[:, 0].astype(float), counts[:, 1].astype(float)
    p_values = mid_p_values(counts[:, 0], counts[:, 1])
    for delta in (-0.1, 0.0, 0.05, 0.2):
        covered = trials.held_interval_covers(wins, losses, 40, delta, p_values)
        for row, found in zip(counts, covered, strict=True):
            ends = compare_paired(np.repeat([0, 1, 1], row), np.repeat([1, 0, 1], row)).difference
            assert found == (ends.low <= delta <= ends.high), (row, delta)


def test_score_distances_are_the_plain_ones():
    wins, losses = np.array([3.0, 0.0, 12.0]), np.array([1.0, 0.0, 4.0])
    found = trials.score_distances(wins, losses, 50, 0.07)
    expected = [score_distance(*counts, 50, 0.07) for counts in ((3, 1), (0, 0), (12, 4))]
    assert found == pytest.approx(expected, abs=1e-12)


def test_fieller_covers_where_its_ends_say_so():
    model = trials.sum_model((0.3, 0.36), 4)
    counts = model.draw_counts(80, 60, RNG)
    moments = trials.pair_moments(counts, model.baseline, model.latent)
    for ratio in (0.8, 1.0, 1.2, 1.6):
        covered = trials.fieller_covers(moments, ratio)
        for row, found in zip(counts, covered, strict=True):
            gain = gain_interval(expand(row, model.baseline), expand(row, model.latent))
            assert found == (gain.low <= 100 * (ratio - 1) <= gain.high)


def test_bca_covers_where_its_ends_say_so():
    model = trials.sum_model((0.3, 0.36), 1)
    pairs = np.stack([model.baseline, model.latent], axis=1)
    counts = model.draw_counts(80, 30, RNG)
    resampled = RNG.multinomial(80, (counts / 80)[:, None, :], size=(30, 199)).astype(np.float64)
    totals = resampled @ pairs
    for ratio in (0.9, 1.2, 1.5):
        covered = trials.bca_covers(counts, pairs, ratio, resampled)
        for row, drawn, found in zip(counts, totals, covered, strict=True):
            low, high = bca_ends(expand(row, pairs), drawn[:, 1] / drawn[:, 0])
            assert found == (low <= ratio <= high)


def test_findings_of_holm_are_the_plain_ones():
    p_values = RNG.random((200, 6)) ** 3
    expected = np.stack([holm(row) < 0.05 for row in p_values])
    assert (trials.holm_rejects(p_values) == expected).all()
    assert expected.any()


def test_clustered_t_tests_from_sums_are_the_plain_ones():
    names = np.repeat(np.arange(7), [1, 4, 2, 9, 3, 3, 5])
    sizes = np.bincount(names).astype(np.float64)
    for _ in range(20):
        scores = RNG.normal(0.1, 1.0, size=names.size)
        plain, degrees = cluster_estimate(scores, names), mean_covariance(scores[:, None], names).degrees_of_freedom
        sums = cluster_sums(scores - scores.mean(), names)[None]
        found = trials.cluster_t_p_values(sums, np.array([scores.mean()]), sizes, degrees)
        expected = compare_draws(np.zeros(names.size), scores, clusters=names).p_value
        assert found[0] == pytest.approx(expected, abs=1e-10)
        assert plain.mean == pytest.approx(scores.mean())
