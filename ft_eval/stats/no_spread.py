"""The interval of a paired difference where no two items differ in it: t would make a point of it. Numbers only.

Scores that all stayed the same are no proof that none would change: where 4 units of n change on average, none does in
2 % of runs. For scores in [0, 1] the units that changed bound the difference, and none of n did:
the interval is Tango's of 0 wins and 0 losses among n, as it is for scores of 0 and 1. A score without such bounds has
no interval then. Neither have scores that did change and show no spread all the same: every item by the same amount, or
alike in all clusters or in all items of a task, as where what one item gains another of its cluster loses.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ft_eval.stats.clusters import cluster_means, cluster_sums
from ft_eval.stats.estimate import (
    CONFIDENCE,
    INNER_CONFIDENCE,
    ROUNDING_NOISE,
    Estimate,
    Interval,
    is_constant,
    t_interval,
)
from ft_eval.stats.mcnemar import paired_score_interval

SAME_AMOUNT = "every item differs by the same amount"
ALIKE = "the changes are alike in every item or cluster of a task, so their spread is unknown"
NOTHING_CHANGED = "no score changed, so its spread is unknown"
NOTHING_VARIES = "neither side's scores vary, so their spread is unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A mean difference and its two intervals."""

    estimate: Estimate
    """With the 95 % interval."""
    interval_90: Interval


def with_intervals(estimate: Estimate, num_units: float, why: str) -> Difference:
    """The mean difference with Student's t intervals, or, where its standard error is 0, with honest ones or none.

    Args:
        estimate: with its t interval.
        num_units: independent units behind it, see `num_units`.
        why: the reason to give where its standard error is 0, see `why_constant`.
    """
    if estimate.stderr != 0.0:
        inner = t_interval(estimate.mean, estimate.stderr, estimate.degrees_of_freedom, INNER_CONFIDENCE)
        return Difference(estimate=estimate, interval_90=inner)
    if why != NOTHING_CHANGED or math.isnan(num_units):
        nothing = replace(estimate, low=math.nan, high=math.nan, method="none", reason=why)
        return Difference(estimate=nothing, interval_90=_ends(math.nan, INNER_CONFIDENCE))
    outer, method = _ends(num_units, CONFIDENCE), f"no score changed: Tango score interval of {int(num_units):,} units"
    wide = replace(estimate, low=outer.low, high=outer.high, method=method, degrees_of_freedom=math.nan)
    return Difference(estimate=wide, interval_90=_ends(num_units, INNER_CONFIDENCE))


def num_units(*scores: ArrayLike, clusters: ArrayLike | None = None) -> float:
    """Independent units behind paired scores, each of shape (n,) or (n, K), all in [0, 1]; nan where they are not.

    Clusters of sizes n_g count as n² / Σ n_g² of one size (Kish 1965): a large one can move the mean by itself.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in scores]
    if not all(side.size and side.min() >= 0.0 and side.max() <= 1.0 for side in sides):
        return math.nan
    sizes = cluster_sums(np.ones(len(sides[0])), clusters)
    return max(1.0, float(sizes.sum() ** 2 / (sizes**2).sum()))


def num_stratified_units(strata: list[float]) -> float:
    """Of a mean over strata of one vote each: as if each had as few units as the smallest, which bounds it."""
    return len(strata) * min(strata) if strata and not any(map(math.isnan, strata)) else math.nan


def why_no_spread(changes: NDArray[np.float64], clusters: ArrayLike | None = None) -> str:
    """Why differences of items, shape (n,), or of their clusters tell nothing of their spread; empty where they do."""
    if not changes.size or not is_constant(cluster_means(changes, clusters)):
        return ""
    return why_constant(changes)


def why_constant(changes: NDArray[np.float64]) -> str:
    """Why the mean of these differences of items, shape (n,), has a standard error of 0, if it has."""
    if not np.any(np.abs(changes) > ROUNDING_NOISE):
        return NOTHING_CHANGED
    return SAME_AMOUNT if is_constant(changes) else ALIKE


def _ends(units: float, confidence: float) -> Interval:
    """Parts of a unit are left out, which widens the interval; nan where the units are."""
    if math.isnan(units):
        return Interval(low=math.nan, high=math.nan, confidence=confidence)
    low, high = paired_score_interval(0, 0, int(units), confidence=confidence)
    return Interval(low=low, high=high, confidence=confidence)
