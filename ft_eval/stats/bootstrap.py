"""A bootstrap interval of the relative gain, bias-corrected and accelerated. The same seed gives the same ends.

Items (or clusters) are drawn with replacement, both models' scores together; BCa after Efron (1987). It is the check of
Fieller's interval (`gain.gain_interval`), which is the one to show: BCa needs more items for its level.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ft_eval.stats.clusters import cluster_sums
from ft_eval.stats.estimate import CONFIDENCE
from ft_eval.stats.gain import RelativeGain, paired_columns, relative_gain, suppressed_gain, why_no_gain

_CHUNK_NUMBERS = 4_000_000


def bootstrap_gain(
    baseline: ArrayLike,
    latent: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    chance: float = 0.0,
    num_resamples: int = 1_999,
    seed: int = 0,
) -> RelativeGain:
    """The relative gain with a BCa 95 % interval over items or clusters; arguments as in `gain_interval`.

    Raises:
        ValueError: shapes that do not fit, a score that is not finite.
    """
    columns = paired_columns(baseline, latent)
    if reason := why_no_gain(columns, clusters, chance):
        return suppressed_gain(columns, reason)
    sums = cluster_sums(columns, clusters)
    totals = resampled_totals(sums, num_resamples, seed)
    if totals[:, 0].min() <= 0.0:
        return suppressed_gain(columns, "a resample has a baseline of 0")
    low, high = bca_ends(sums, totals[:, 1] / totals[:, 0])
    point = relative_gain(*map(float, columns.mean(axis=0)))
    return RelativeGain(
        percent=point.percent,
        method=f"difference over the baseline's mean, BCa interval, {num_resamples:,} resamples, seed {seed}",
        low=100.0 * (low - 1.0),
        high=100.0 * (high - 1.0),
        difference=point.difference,
    )


def resampled_totals(sums: NDArray[np.float64], num_resamples: int, seed: int) -> NDArray[np.float64]:
    """Totals of resamples with replacement of the units' sums (G, 2), shape (num_resamples, 2).

    Scores of a few values, such as 0 and 1, repeat: then it is how often each pair of them is drawn that is drawn.
    """
    rng, num_units = np.random.default_rng(seed), len(sums)
    distinct, times = np.unique(sums, axis=0, return_counts=True)
    if 2 * len(distinct) <= num_units:
        drawn = rng.multinomial(num_units, times / num_units, size=num_resamples)
        return np.asarray(drawn @ distinct, dtype=np.float64)
    chunk = max(1, _CHUNK_NUMBERS // num_units)
    parts = [
        sums[rng.integers(0, num_units, (min(chunk, num_resamples - start), num_units))].sum(axis=1)
        for start in range(0, num_resamples, chunk)
    ]
    return np.concatenate(parts)


def bca_ends(sums: NDArray[np.float64], ratios: NDArray[np.float64]) -> tuple[float, float]:
    """BCa ends of the ratio of totals, from the units' sums (G, 2) and the resampled ratios, shape (B,)."""
    total = sums.sum(axis=0)
    observed = total[1] / total[0]
    share_below = ((ratios < observed).mean() + (ratios <= observed).mean()) / 2.0
    if np.ptp(ratios) == 0.0:
        return float(observed), float(observed)
    bias = special.ndtri(share_below)
    left_out = (total[1] - sums[:, 1]) / (total[0] - sums[:, 0])
    influence = left_out.mean() - left_out
    acceleration = (influence**3).sum() / (6.0 * (influence**2).sum() ** 1.5)
    shifted = bias + special.ndtri([0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    low, high = np.percentile(ratios, 100.0 * special.ndtr(bias + shifted / (1.0 - acceleration * shifted)))
    return float(low), float(high)
