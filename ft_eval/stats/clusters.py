"""Means whose items come in clusters: subjects, passages, problems that two suites share. Numbers only.

    n      items        d   columns, such as the baseline's and the latent's score
    G      clusters     n_g items of cluster g, E_g the sum of their residuals

Items of one passage are right or wrong together, so the clusters are the independent units. The mean stays one vote per
item; its variance is CR2 (Bell & McCaffrey 2002), which for a mean is

    V = Σ_g E_g E_gᵀ / (1 − n_g / n) / n²        and for clusters of one item var(ddof=1) / n

with the degrees of freedom that they give for independent items: G − 1 for clusters of one size, fewer where a few
clusters hold most items.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ft_eval.stats.estimate import Estimate, as_scores, is_constant, t_estimate, t_interval, undefined_estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanCovariance:
    """Means of d columns and the covariance of these means."""

    means: NDArray[np.float64]
    """Shape (d,)."""
    covariance: NDArray[np.float64]
    """Shape (d, d); nan where fewer than two clusters show no spread."""
    degrees_of_freedom: float
    num_clusters: int


def cluster_index(clusters: ArrayLike | None, n: int) -> NDArray[np.intp]:
    """Which cluster each of n items is in, as 0 … G − 1; every item its own where `clusters` is None.

    Args:
        clusters: names or numbers, shape (n,).
        n: items.

    Raises:
        ValueError: another shape.
    """
    if clusters is None:
        return np.arange(n)
    names = np.asarray(clusters)
    if names.shape != (n,):
        raise ValueError(f"expected one cluster per item, shape ({n},), got {names.shape}")
    return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.intp)


def cluster_sums(columns: ArrayLike, clusters: ArrayLike | None) -> NDArray[np.float64]:
    """Sums within clusters, shape (G,) for columns of shape (n,) and (G, d) for (n, d).

    Raises:
        ValueError: see `cluster_index`.
    """
    values = np.asarray(columns, dtype=np.float64)
    index = cluster_index(clusters, len(values))
    sums = np.zeros((int(index.max(initial=-1)) + 1, *values.shape[1:]))
    np.add.at(sums, index, values)
    return sums


def cluster_means(values: ArrayLike, clusters: ArrayLike | None) -> NDArray[np.float64]:
    """Means within clusters, shape (G,), of values of shape (n,).

    Raises:
        ValueError: see `cluster_index`.
    """
    scores = np.asarray(values, dtype=np.float64)
    return cluster_sums(scores, clusters) / cluster_sums(np.ones(len(scores)), clusters)


def mean_covariance(columns: ArrayLike, clusters: ArrayLike | None = None) -> MeanCovariance:
    """Means over items of each column, (n, d), with their CR2 covariance.

    Raises:
        ValueError: not two dimensions, no item, or see `cluster_index`.
    """
    values = np.asarray(columns, dtype=np.float64)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"expected columns of shape (n, d) with n >= 1, got {values.shape}")
    n, means = len(values), values.mean(axis=0)
    sums = cluster_sums(values - means, clusters)
    sizes = cluster_sums(np.ones(n), clusters)
    if len(sizes) < 2:
        nothing = np.full((values.shape[1],) * 2, math.nan)
        return MeanCovariance(means=means, covariance=nothing, degrees_of_freedom=math.nan, num_clusters=len(sizes))
    weighted = sums / (1.0 - sizes / n)[:, None]
    return MeanCovariance(
        means=means,
        covariance=sums.T @ weighted / n**2,
        degrees_of_freedom=_bell_mccaffrey(sizes),
        num_clusters=len(sizes),
    )


def cluster_estimate(values: ArrayLike, clusters: ArrayLike | None = None) -> Estimate:
    """The mean over items, shape (n,), with its CR2 standard error over clusters and a t interval.

    Raises:
        ValueError: see `as_scores` and `cluster_index`.
    """
    scores = as_scores(values)
    if clusters is None and scores.size:
        return t_estimate(scores)
    if not scores.size:
        return undefined_estimate("no scored item")
    found = mean_covariance(scores[:, None], clusters)
    mean = float(found.means[0])
    if found.num_clusters < 2:
        return undefined_estimate("one cluster has no spread", mean=mean, n=scores.size)
    stderr = 0.0 if is_constant(cluster_means(scores, clusters)) else math.sqrt(float(found.covariance[0, 0]))
    ends = t_interval(mean, stderr, found.degrees_of_freedom)
    return Estimate(
        mean=mean,
        stderr=stderr,
        low=ends.low,
        high=ends.high,
        n=scores.size,
        method=f"CR2 stderr over {found.num_clusters} clusters, t interval",
        degrees_of_freedom=found.degrees_of_freedom,
    )


def _bell_mccaffrey(sizes: NDArray[np.float64]) -> float:
    """(tr G)² / tr G², G_gh = a_g a_h (δ_gh n_g − n_g n_h / n), a_g² = 1 / (1 − n_g / n); the matrix is not made."""
    n = sizes.sum()
    weights = 1.0 / (1.0 - sizes / n)  # a_g²
    off_diagonal = (weights * sizes**2).sum() ** 2 - (weights**2 * sizes**4).sum()
    return float(n**2 / ((sizes**2).sum() + off_diagonal / n**2))
