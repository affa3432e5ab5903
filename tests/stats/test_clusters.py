"""CR2 errors of a mean are those of the matrices in the definition, and without clusters they are the plain ones."""

import math

import numpy as np
import pytest
from scipy import linalg, stats

from ft_eval.stats import cluster_estimate, mean_estimate
from ft_eval.stats.clusters import cluster_sums, mean_covariance

RNG = np.random.default_rng(57)
NAMES = np.repeat(["law", "physics", "law2", "art", "go"], [3, 11, 1, 6, 4])


def slow_cr2(scores, names):
    """Bell & McCaffrey's variance and degrees of freedom, by the n × n matrices of a regression on 1."""
    n = len(scores)
    hat, residuals = np.full((n, n), 1.0 / n), scores - scores.mean()
    variance, columns = 0.0, []
    for name in np.unique(names):
        members = np.flatnonzero(names == name)
        adjust = linalg.inv(linalg.sqrtm(np.eye(len(members)) - hat[np.ix_(members, members)]).real)
        variance += (adjust @ residuals[members]).sum() ** 2 / n**2
        columns.append((np.eye(n) - hat)[:, members] @ adjust @ np.ones(len(members)) / n)
    gram = np.stack(columns).T
    gram = gram.T @ gram
    return variance, np.trace(gram) ** 2 / np.trace(gram @ gram)


def test_stderr_and_degrees_of_freedom_are_those_of_the_definition():
    scores = RNG.normal(size=NAMES.size)
    variance, degrees = slow_cr2(scores, NAMES)
    found = cluster_estimate(scores, NAMES)
    assert found.stderr == pytest.approx(math.sqrt(variance), abs=1e-10)
    assert found.degrees_of_freedom == pytest.approx(degrees, abs=1e-8)
    half = stats.t.ppf(0.975, degrees) * math.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((scores.mean() - half, scores.mean() + half), abs=1e-8)


def test_clusters_of_one_item_are_no_clusters():
    scores = RNG.random(23)
    found, plain = cluster_estimate(scores, np.arange(23)), mean_estimate(scores)
    assert (found.stderr, found.low, found.high) == pytest.approx((plain.stderr, plain.low, plain.high), abs=1e-12)
    assert found.degrees_of_freedom == pytest.approx(22)


def test_clusters_of_one_size_are_a_t_test_of_their_means():
    scores = RNG.normal(size=(9, 4))
    found = cluster_estimate(scores.ravel(), np.repeat(np.arange(9), 4))
    expected = stats.ttest_1samp(scores.mean(axis=1), 0.0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-10)
    assert found.degrees_of_freedom == pytest.approx(8)


def test_a_few_large_clusters_leave_few_degrees_of_freedom():
    sizes = [200, 200, *[1] * 30]
    assert mean_covariance(RNG.random((430, 1)), np.repeat(np.arange(32), sizes)).degrees_of_freedom < 4


def test_covariances_without_clusters_are_numpys():
    columns = RNG.normal(size=(31, 3))
    assert mean_covariance(columns).covariance == pytest.approx(np.cov(columns.T) / 31, abs=1e-14)


def test_sums_go_by_the_names_whatever_their_order():
    assert cluster_sums([1.0, 2.0, 4.0], ["b", "a", "b"]).tolist() == [2.0, 5.0]


def test_one_cluster_has_no_spread_and_the_reason_is_said():
    found = cluster_estimate([0.0, 1.0, 1.0], ["a"] * 3)
    assert math.isnan(found.stderr)
    assert found.mean == pytest.approx(2 / 3)
    assert found.reason == "one cluster has no spread"


def test_clusters_of_other_items_are_refused():
    with pytest.raises(ValueError, match="one cluster per item"):
        cluster_estimate([0.0, 1.0], ["a"])
