"""Means over strata (the tasks of a group), each stratum with one vote whatever its size. Numbers only.

Why one vote each, and not weights by inverse variance: the tasks are a declared set and not a sample of tasks, so the
mean over them is what is asked for. Inverse variances would let the task with the most items answer for all, and the
variance of a random effect is hardly known from a dozen tasks. How far the tasks' true effects lie apart stands beside
the mean.

The micro mean, one vote per item, is `mean_estimate` over all items and needs nothing here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ft_eval.stats.estimate import (
    ROUNDING_NOISE,
    Estimate,
    Interval,
    as_scores,
    mean_estimate,
    t_estimate,
    t_interval,
    undefined_estimate,
)
from ft_eval.stats.no_spread import (
    ALIKE,
    NOTHING_CHANGED,
    num_stratified_units,
    num_units,
    why_constant,
    with_intervals,
)
from ft_eval.stats.paired import PairedComparison, compare_paired, paired_differences, t_test_p

STRATIFIED_T = "paired t, stratified by task"
_METHOD = "macro mean, stderr over independent strata, Welch-Satterthwaite t interval"


def macro_estimate(strata: Sequence[Estimate]) -> Estimate:
    """The mean of the strata's means; stderr sqrt(sum se_k^2) / K, degrees of freedom after Satterthwaite (1946).

    `n` counts items. A stratum without a standard error leaves the macro mean without one, and says so.
    """
    if not strata:
        return undefined_estimate("no scored item")
    mean, n = float(np.mean([s.mean for s in strata])), sum(s.n for s in strata)
    stderr = math.sqrt(sum(s.stderr**2 for s in strata)) / len(strata)
    if math.isnan(stderr):
        num_small = sum(math.isnan(s.stderr) for s in strata)
        return undefined_estimate(f"{num_small} of {len(strata)} tasks have fewer than two items", mean=mean, n=n)
    degrees = degrees_of_freedom(strata)
    ends = t_interval(mean, stderr, degrees)
    return Estimate(
        mean=mean, stderr=stderr, low=ends.low, high=ends.high, n=n, method=_METHOD, degrees_of_freedom=degrees
    )


def compare_macro(pairs: Sequence[tuple[ArrayLike, ArrayLike]], *, higher_is_better: bool = True) -> PairedComparison:
    """Compare (baseline, latent) scores stratum by stratum: the mean over strata of their mean differences.

    Raises:
        ValueError: see `compare_paired`.
    """
    parts = [compare_paired(base, latent, higher_is_better=higher_is_better) for base, latent in pairs]
    changes = [paired_differences(as_scores(base), as_scores(latent)) for base, latent in pairs]
    strata = [_difference_estimate(own) for own in changes]
    units = num_stratified_units([num_units(base, latent) for base, latent in pairs if np.size(base)])
    why = why_constant(np.concatenate(changes)) if changes else ""
    found = with_intervals(macro_estimate([s for s in strata if s.n]), units, why)
    p_value, reason = t_test_p(found.estimate, degrees_of_freedom(strata))
    return PairedComparison(
        difference=found.estimate,
        p_value=p_value,
        p_exact=None,
        test=STRATIFIED_T,
        num_wins=sum(part.num_wins for part in parts),
        num_losses=sum(part.num_losses for part in parts),
        num_ties=sum(part.num_ties for part in parts),
        reason=reason,
        interval_90=found.interval_90,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledEffect:
    """The mean effect over tasks, and whether one mean does them justice."""

    effect: Estimate
    """One vote per task; n counts items."""
    interval_90: Interval
    p_value: float
    num_tasks: int
    heterogeneity_q: float
    """Cochran's Q: about its num_tasks - 1 degrees of freedom where all tasks have one and the same effect."""
    p_heterogeneity: float
    """That Q would be as large by chance; nan where a task has no standard error, or there is one task."""
    spread: float
    """Standard deviation of the tasks' true effects (DerSimonian & Laird 1986), in the scores' unit; 0 or more."""
    reason: str = ""
    """Why a number is nan; empty when none is."""


def pooled_effect(
    differences: Sequence[Estimate], units: float = math.nan, *, has_changes: bool | None = None
) -> PooledEffect:
    """Pool the paired differences of several tasks: their plain mean, with the tasks' errors added as independent.

    Args:
        differences: of the tasks.
        units: independent units behind the mean (`num_stratified_units`), which bound it where no task changed.
        has_changes: whether any item differs; None takes it from the differences, which say so or are not 0.
    """
    if has_changes is None:
        has_changes = any(_has_changes(d) for d in differences)
    why = ALIKE if has_changes else NOTHING_CHANGED
    found = with_intervals(macro_estimate([d for d in differences if d.n]), units, why)
    effect = found.estimate
    p_value, reason = t_test_p(effect, effect.degrees_of_freedom)
    q_value, spread = _heterogeneity([d for d in differences if d.n])
    degrees = max(1, sum(d.n > 0 for d in differences) - 1)
    return PooledEffect(
        effect=effect,
        interval_90=found.interval_90,
        p_value=p_value,
        num_tasks=sum(d.n > 0 for d in differences),
        heterogeneity_q=q_value,
        p_heterogeneity=float(stats.chi2.sf(q_value, degrees)),
        spread=spread,
        reason=reason,
    )


def _heterogeneity(strata: Sequence[Estimate]) -> tuple[float, float]:
    """Cochran's Q and the standard deviation of the true effects; nan where a stratum has no standard error."""
    errors = np.array([s.stderr for s in strata])
    if len(strata) < 2 or not (errors > 0.0).all():
        return math.nan, math.nan
    weights, means = errors**-2.0, np.array([s.mean for s in strata])
    q_value = float((weights * (means - np.average(means, weights=weights)) ** 2).sum())
    scale = weights.sum() - (weights**2).sum() / weights.sum()
    return q_value, math.sqrt(max(0.0, (q_value - len(strata) + 1) / float(scale)))


def degrees_of_freedom(strata: Sequence[Estimate]) -> float:
    """Satterthwaite's (sum se_k^2)^2 / sum(se_k^4 / df_k), over the strata that vary; infinite when none does.

    df_k is the stratum's own, n_k - 1 where it has none.
    """
    varying = [s for s in strata if s.stderr > 0.0]
    denominator = sum(s.stderr**4 / _own_degrees(s) for s in varying)
    return sum(s.stderr**2 for s in varying) ** 2 / denominator if denominator else math.inf


def _own_degrees(stratum: Estimate) -> float:
    return stratum.n - 1 if math.isnan(stratum.degrees_of_freedom) else stratum.degrees_of_freedom


def _has_changes(difference: Estimate) -> bool:
    return abs(difference.mean) > ROUNDING_NOISE or difference.reason == ALIKE


def _difference_estimate(difference: NDArray[np.float64]) -> Estimate:
    return t_estimate(difference) if difference.size else mean_estimate(difference)
