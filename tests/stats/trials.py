"""Thousands of simulated runs at once: sufficient statistics are drawn, the plain functions' formulas run on arrays.

A simulated item has a difficulty, and each model its own deviation from it (normal, on the logit scale). Averaged over
the items that gives the joint distribution of the two sums of K draws, `SumModel.joint`; a run of n items is then one
multinomial draw of how many items have which pair of sums, and everything a test needs is in these counts.

Each formula here is held to the plain function in test_trials.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from ft_eval.stats.estimate import CONFIDENCE, normal_quantile

Array = NDArray[np.float64]

ITEM_SPREAD = 2.0
"""Standard deviation of the items' difficulty, in logits: some are always solved, some never."""
MODEL_SPREAD = 0.75
"""Of a model's own deviation on an item: two trainings of one recipe are not right on the same items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SumModel:
    """The joint distribution of (baseline's sum, latent's sum) over K draws each of one random item."""

    joint: Array
    """(K + 1, K + 1)."""
    num_draws: int

    @property
    def baseline(self) -> Array:
        """The baseline's mean of K draws at each place of `joint`, flat."""
        return np.repeat(np.arange(self.num_draws + 1) / self.num_draws, self.num_draws + 1)

    @property
    def latent(self) -> Array:
        """The latent's."""
        return np.tile(np.arange(self.num_draws + 1) / self.num_draws, self.num_draws + 1)

    def expected(self, values: Array) -> float:
        """The expectation of a value given at each place of `joint`, flat."""
        return float(self.joint.ravel() @ values)

    def draw_counts(self, n: int, num_trials: int, rng: np.random.Generator) -> Array:
        """How many of n items have which pair of sums, (num_trials, (K + 1)²)."""
        return rng.multinomial(n, self.joint.ravel(), size=num_trials).astype(np.float64)

    def differences(self) -> tuple[Array, Array]:
        """The values of latent - baseline, (2 K + 1,), and their chances: all that a test of differences sees."""
        steps = np.rint((self.latent - self.baseline) * self.num_draws).astype(np.int64) + self.num_draws
        values = np.arange(-self.num_draws, self.num_draws + 1) / self.num_draws
        return values, np.bincount(steps, weights=self.joint.ravel(), minlength=values.size).astype(np.float64)


def item_probabilities(means: tuple[float, float], model_spread: float) -> tuple[Array, Array, Array]:
    """Chances of a right draw for baseline and latent on a grid of items, and the grid's weights, each (points,)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(17)
    weights = weights / weights.sum()
    item, one, other = (axis.ravel() for axis in np.meshgrid(nodes, nodes, nodes, indexing="ij"))
    grid = (weights[:, None, None] * weights[None, :, None] * weights[None, None, :]).ravel()
    base = _with_mean(means[0], ITEM_SPREAD * item + model_spread * one, grid)
    latent = _with_mean(means[1], ITEM_SPREAD * item + model_spread * other, grid)
    return base, latent, grid


def sum_model(means: tuple[float, float], num_draws: int, model_spread: float = MODEL_SPREAD) -> SumModel:
    """Two models of the given mean scores; model_spread 0 makes both the same model where their means agree."""
    base, latent, grid = item_probabilities(means, model_spread)
    sums = np.arange(num_draws + 1)
    of_base = stats.binom.pmf(sums, num_draws, base[:, None])
    of_latent = stats.binom.pmf(sums, num_draws, latent[:, None])
    joint = (of_base * grid[:, None]).T @ of_latent
    return SumModel(joint=joint / joint.sum(), num_draws=num_draws)


def _with_mean(mean: float, logits: Array, grid: Array) -> Array:
    shift = optimize.brentq(lambda s: float(grid @ stats.logistic.cdf(logits + s)) - mean, -30.0, 30.0, xtol=1e-13)
    return np.asarray(stats.logistic.cdf(logits + shift))


def mean_and_error(counts: Array, values: Array) -> tuple[Array, Array]:
    """The mean and its standard error in each trial, from counts (T, C) of the values (C,)."""
    n = counts.sum(axis=1)
    mean = counts @ values / n
    spread = np.maximum(0.0, counts @ values**2 / n - mean**2) * n / (n - 1)
    return mean, np.sqrt(spread / n)


def t_p_values(mean: Array, error: Array, degrees_of_freedom: float | Array) -> Array:
    """Two-sided p of the t test, 1 where nothing varies and nothing differs."""
    with np.errstate(invalid="ignore", divide="ignore"):
        p_values = 2.0 * stats.t.sf(np.abs(mean) / error, degrees_of_freedom)
    return np.where(error == 0.0, np.where(mean == 0.0, 1.0, 0.0), p_values)


def score_distances(num_wins: Array, num_losses: Array, n: int, delta: float) -> Array:
    """`mcnemar.score_distance` for arrays of counts."""
    b = (2 * n - num_wins + num_losses) * delta - num_wins - num_losses
    c = -num_losses * delta * (1.0 - delta)
    q = (np.sqrt(np.maximum(0.0, b * b - 8.0 * n * c)) - b) / (4.0 * n)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = (n * delta - (num_wins - num_losses)) / np.sqrt(n * (2.0 * q + delta * (1.0 - delta)))
    return np.where(np.isnan(distance), 0.0, distance)


def held_interval_covers(
    num_wins: Array, num_losses: Array, n: int, delta: float, p_values: Array
) -> NDArray[np.bool_]:
    """Whether the interval of `compare_paired` holds delta, without looking for its ends."""
    distance, z = score_distances(num_wins, num_losses, n, delta), normal_quantile()
    is_widened = p_values >= 1.0 - CONFIDENCE
    above = (distance > z) & ~(is_widened & (delta <= 0.0))
    below = (distance < -z) & ~(is_widened & (delta >= 0.0))
    return ~(above | below)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMoments:
    """Means of (baseline, latent) in each trial, and the covariances of these means; each (T,)."""

    base: Array
    latent: Array
    base_base: Array
    base_latent: Array
    latent_latent: Array
    n: int


def pair_moments(counts: Array, baseline: Array, latent: Array) -> PairMoments:
    """From counts (T, C) of the pairs (baseline, latent), each (C,)."""
    n = float(counts[0].sum())
    base, other = counts @ baseline / n, counts @ latent / n
    return PairMoments(
        base=base,
        latent=other,
        base_base=(counts @ baseline**2 / n - base**2) / (n - 1),
        base_latent=(counts @ (baseline * latent) / n - base * other) / (n - 1),
        latent_latent=(counts @ latent**2 / n - other**2) / (n - 1),
        n=int(n),
    )


def fieller_covers(moments: PairMoments, ratio: float) -> NDArray[np.bool_]:
    """Whether latent - ratio × baseline passes the t test: where the ratio lies in Fieller's interval."""
    quantile = stats.t.ppf(0.5 + CONFIDENCE / 2, moments.n - 1)
    variance = moments.latent_latent - 2 * ratio * moments.base_latent + ratio**2 * moments.base_base
    return np.asarray(np.abs(moments.latent - ratio * moments.base) <= quantile * np.sqrt(variance))


def holm_rejects(p_values: Array, alpha: float = 0.05) -> NDArray[np.bool_]:
    """Holm's findings in each family, (T, m): step down until the first that stays."""
    order = np.argsort(p_values, axis=1)
    steps = np.take_along_axis(p_values, order, axis=1) * np.arange(p_values.shape[1], 0, -1)
    passed = np.logical_and.accumulate(steps < alpha, axis=1)
    rejected = np.zeros_like(passed)
    np.put_along_axis(rejected, order, passed, axis=1)
    return rejected


def bca_covers(counts: Array, pairs: Array, ratio: float, resampled: Array) -> NDArray[np.bool_]:
    """Whether the BCa interval holds the ratio of latent to baseline, in each trial.

    Args:
        counts: how many items have which pair, (T, C).
        pairs: the pairs (baseline, latent), (C, 2).
        ratio: the true one.
        resampled: counts of B resamples of each trial, (T, B, C).
    """
    totals, drawn = counts @ pairs, resampled @ pairs
    with np.errstate(divide="ignore"):
        ratios, observed = drawn[..., 1] / drawn[..., 0], totals[:, 1] / totals[:, 0]
    below = ((ratios < observed[:, None]).mean(axis=1) + (ratios <= observed[:, None]).mean(axis=1)) / 2.0
    bias = special.ndtri(below)
    left_out = (totals[:, 1, None] - pairs[:, 1]) / (totals[:, 0, None] - pairs[:, 0])
    influence = (counts * left_out).sum(axis=1, keepdims=True) / counts.sum(axis=1, keepdims=True) - left_out
    cubes, squares = (counts * influence**3).sum(axis=1), (counts * influence**2).sum(axis=1)
    acceleration = cubes / (6.0 * squares**1.5)
    shifted = bias + special.ndtri([[0.5 - CONFIDENCE / 2], [0.5 + CONFIDENCE / 2]])
    levels = special.ndtr(bias + shifted / (1.0 - acceleration * shifted))  # (2, T)
    places = levels * (ratios.shape[1] - 1)
    ordered, floor = np.sort(ratios, axis=1), np.floor(places).astype(np.int64)
    ceiling, rows = np.minimum(floor + 1, ratios.shape[1] - 1), np.arange(len(ratios))
    low, high = ordered[rows, floor] + (places - floor) * (ordered[rows, ceiling] - ordered[rows, floor])
    return np.asarray((low <= ratio) & (ratio <= high))


def cluster_t_p_values(residual_sums: Array, means: Array, sizes: Array, degrees_of_freedom: float) -> Array:
    """Two-sided p of the CR2 t test in each trial, from the clusters' sums of residuals (T, G) and the means (T,)."""
    n = sizes.sum()
    error = np.sqrt((residual_sums**2 / (1.0 - sizes / n)).sum(axis=1)) / n
    return t_p_values(means, error, degrees_of_freedom)
