"""Two models on the same items, several draws per item, items in clusters: one comparison that fits. Numbers only.

    K = 1 on both sides, independent items   `compare_paired`: mid-p McNemar or paired t
    several draws                            each item's draws are averaged, then paired t over items
    clusters of items                        the same means, CR2 standard error over clusters

Beside every t test stands the sign-flip test of the same units, which assumes no normal mean.

Why averaged and not pooled: two models of one quality still differ item by item, and all K draws of an item share that
difference. Taken as n K independent pairs, the standard error shrinks like 1 / √(n K) and the spread of the mean only
like 1 / √n: at K = 32 such a test calls a third of equal pairs different.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ft_eval.stats.clusters import cluster_estimate, cluster_sums
from ft_eval.stats.estimate import is_binary, item_means, undefined_estimate
from ft_eval.stats.no_spread import num_units, why_constant, with_intervals
from ft_eval.stats.paired import PAIRED_T, PairedComparison, compare_by_t, compare_paired, paired_differences
from ft_eval.stats.sign_flip import sign_flip_test

AVERAGED_T = "paired t over items, draws averaged"
CLUSTERED_T = "paired t over clusters (CR2)"


def compare_draws(
    baseline: ArrayLike,
    latent: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    higher_is_better: bool = True,
    num_flips: int = 9_999,
    seed: int = 0,
) -> PairedComparison:
    """Compare scores of the same items in the same order.

    Args:
        baseline: shape (n,) or (n, K_b).
        latent: shape (n,) or (n, K_l); K_l need not be K_b.
        clusters: the cluster of each item, shape (n,); None for independent items.
        higher_is_better: what counts as a win; the difference keeps its sign.
        num_flips: of the sign-flip test, where it is not exact.
        seed: of the sign-flip test, where it is not exact.

    Raises:
        ValueError: shapes that do not fit, a score that is not finite.
    """
    base, other = np.asarray(baseline, dtype=np.float64), np.asarray(latent, dtype=np.float64)
    means, other_means = item_means(base), item_means(other)
    num_draws = (_num_draws(base), _num_draws(other))
    difference = paired_differences(means, other_means)
    if clusters is None and num_draws == (1, 1):
        result = compare_paired(means, other_means)
    else:
        units = num_units(base, other, clusters=clusters)
        result = _compare_units(difference, clusters, num_draws, units)
    if not result.is_binary and difference.size:
        step = _step(base, other, num_draws)
        flips = sign_flip_test(cluster_sums(difference, clusters), step=step, num_flips=num_flips, seed=seed)
        result = replace(result, p_permutation=flips.p_value, permutation=flips.method)
    return result if higher_is_better else replace(result, num_wins=result.num_losses, num_losses=result.num_wins)


def _compare_units(
    difference: NDArray[np.float64], clusters: ArrayLike | None, num_draws: tuple[int, int], units: float
) -> PairedComparison:
    if difference.size:
        estimate = cluster_estimate(difference, clusters)
    else:
        estimate = undefined_estimate("no pair of scored items")
    test = AVERAGED_T if clusters is None else CLUSTERED_T
    found = with_intervals(estimate, units, why_constant(difference))
    result = compare_by_t(found, difference, test if difference.size else PAIRED_T)
    num_clusters = None if clusters is None else len(np.unique(np.asarray(clusters)))
    return replace(result, num_baseline_draws=num_draws[0], num_latent_draws=num_draws[1], num_clusters=num_clusters)


def _num_draws(scores: NDArray[np.float64]) -> int:
    return 1 if scores.ndim == 1 else scores.shape[1]


def _step(base: NDArray[np.float64], other: NDArray[np.float64], num_draws: tuple[int, int]) -> float | None:
    """What all differences of averaged 0/1 scores are multiples of; None for other scores."""
    return 1.0 / math.lcm(*num_draws) if is_binary(base) and is_binary(other) else None
