"""Two models on items of their own: two independent samples. Weaker than pairs, and only for what can't be paired.

    scores all 0 or 1       two proportions, pooled z (chi-squared without a correction); Newcombe's interval (1998)
    anything else           Welch's t and its interval
    items in clusters       Welch's t of the two means, each with its error over clusters
    several tasks           the same of the two macro means

The interval of two proportions is held to the test, as the paired one is: it holds 0 where the test doesn't reject.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ft_eval.stats.clusters import cluster_estimate
from ft_eval.stats.estimate import (
    CONFIDENCE,
    INNER_CONFIDENCE,
    Estimate,
    Interval,
    as_scores,
    is_binary,
    t_interval,
    undefined_estimate,
)
from ft_eval.stats.no_spread import NOTHING_VARIES, with_intervals
from ft_eval.stats.paired import PairedComparison, t_test_p

TWO_PROPORTIONS = "two proportions, unpaired"
WELCH = "Welch t, unpaired"
_NEWCOMBE = "unpooled stderr, Newcombe interval held to the test"
_WELCH_INTERVAL = "stderr of two independent means, Welch-Satterthwaite t interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Independent:
    """One side's scores, whose items are nobody else's."""

    scores: NDArray[np.float64]
    """Shape (n,); draws are averaged per item."""
    clusters: NDArray[Any] | None = None
    """The cluster of each item, shape (n,); None for independent items."""


def compare_unpaired(baseline: Independent, latent: Independent) -> PairedComparison:
    """Compare two independent samples; the result says that it is unpaired, and counts no wins.

    Raises:
        ValueError: a score that is not finite, or clusters of another shape.
    """
    sides = (as_scores(baseline.scores), as_scores(latent.scores))
    has_clusters = baseline.clusters is not None or latent.clusters is not None
    if not has_clusters and all(side.size and is_binary(side) for side in sides):
        return _compare_proportions(*sides)
    return compare_independent(
        cluster_estimate(sides[0], baseline.clusters), cluster_estimate(sides[1], latent.clusters)
    )


def compare_independent(baseline: Estimate, latent: Estimate) -> PairedComparison:
    """Welch's t test of two independent means with their own standard errors and degrees of freedom."""
    difference = _welch_difference(baseline, latent)
    p_value, reason = t_test_p(difference, difference.degrees_of_freedom)
    return _unpaired(
        difference,
        p_value=p_value,
        reason=(reason and difference.reason) or reason,
        test=WELCH,
        inner=with_intervals(difference, math.nan, NOTHING_VARIES).interval_90,
    )


def _welch_difference(baseline: Estimate, latent: Estimate) -> Estimate:
    mean, n = latent.mean - baseline.mean, baseline.n + latent.n
    parts = [(side.stderr**2, side.degrees_of_freedom) for side in (baseline, latent)]
    variance = sum(square for square, _ in parts)
    if math.isnan(variance):
        return undefined_estimate(baseline.reason or latent.reason, mean=mean, n=n)
    if variance == 0.0:
        return replace(undefined_estimate(NOTHING_VARIES, mean=mean, n=n), stderr=0.0)
    degrees = variance**2 / sum(square**2 / degrees for square, degrees in parts)
    ends = t_interval(mean, math.sqrt(variance), degrees)
    return Estimate(
        mean=mean,
        stderr=math.sqrt(variance),
        low=ends.low,
        high=ends.high,
        n=n,
        method=_WELCH_INTERVAL,
        degrees_of_freedom=degrees,
    )


def _compare_proportions(baseline: NDArray[np.float64], latent: NDArray[np.float64]) -> PairedComparison:
    counts = [(int(side.sum()), side.size) for side in (baseline, latent)]
    shares = [right / n for right, n in counts]
    p_value = _two_proportion_p(counts)
    ends = {level: _newcombe(counts, p_value, level) for level in (CONFIDENCE, INNER_CONFIDENCE)}
    difference = Estimate(
        mean=shares[1] - shares[0],
        stderr=math.sqrt(sum(share * (1.0 - share) / n for share, (_, n) in zip(shares, counts, strict=True))),
        low=ends[CONFIDENCE].low,
        high=ends[CONFIDENCE].high,
        n=baseline.size + latent.size,
        method=_NEWCOMBE,
        degrees_of_freedom=baseline.size + latent.size - 2,
    )
    return _unpaired(difference, p_value=p_value, reason="", test=TWO_PROPORTIONS, inner=ends[INNER_CONFIDENCE])


def _two_proportion_p(counts: list[tuple[int, int]]) -> float:
    """Two-sided; 1 where all scores are the same."""
    table = np.array([[right, n - right] for right, n in counts])
    if not table.sum(axis=0).all():
        return 1.0
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def _newcombe(counts: list[tuple[int, int]], p_value: float, confidence: float) -> Interval:
    """Newcombe's interval (1998, method 10) from two Wilson intervals, widened to 0 where the test doesn't reject."""
    (base, base_low, base_high), (other, low, high) = (_wilson(right, n, confidence) for right, n in counts)
    lower = other - base - math.hypot(other - low, base_high - base)
    upper = other - base + math.hypot(high - other, base - base_low)
    if p_value >= 1.0 - confidence:
        lower, upper = min(lower, 0.0), max(upper, 0.0)
    return Interval(low=lower, high=upper, confidence=confidence)


def _wilson(num_right: int, n: int, confidence: float) -> tuple[float, float, float]:
    ends = stats.binomtest(num_right, n).proportion_ci(confidence, method="wilson")
    return num_right / n, float(ends.low), float(ends.high)


def _unpaired(difference: Estimate, *, p_value: float, reason: str, test: str, inner: Interval) -> PairedComparison:
    return PairedComparison(
        difference=difference,
        p_value=p_value,
        p_exact=None,
        test=test,
        num_wins=0,
        num_losses=0,
        num_ties=0,
        reason=reason,
        interval_90=inner,
        is_unpaired=True,
    )
