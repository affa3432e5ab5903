"""Means over strata (the tasks of a group), each stratum with one vote whatever its size. Numbers only.

The micro mean, one vote per item, is `mean_estimate` over all items and needs nothing here.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ft_eval.stats.estimate import CONFIDENCE, Estimate, mean_estimate, t_estimate, undefined_estimate
from ft_eval.stats.paired import PairedComparison, compare_paired, t_test_p

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
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, degrees)) * stderr if stderr else 0.0
    return Estimate(mean=mean, stderr=stderr, low=mean - half, high=mean + half, n=n, method=_METHOD)


def compare_macro(pairs: Sequence[tuple[ArrayLike, ArrayLike]], *, higher_is_better: bool = True) -> PairedComparison:
    """Compare (baseline, latent) scores stratum by stratum: the mean over strata of their mean differences.

    Raises:
        ValueError: see `compare_paired`.
    """
    parts = [compare_paired(base, latent, higher_is_better=higher_is_better) for base, latent in pairs]
    strata = [_difference_estimate(base, latent) for base, latent in pairs]
    difference = macro_estimate([s for s in strata if s.n])
    p_value, reason = t_test_p(difference, degrees_of_freedom(strata))
    return PairedComparison(
        difference=difference,
        p_value=p_value,
        p_exact=None,
        test=STRATIFIED_T,
        num_wins=sum(part.num_wins for part in parts),
        num_losses=sum(part.num_losses for part in parts),
        num_ties=sum(part.num_ties for part in parts),
        reason=reason,
    )


def degrees_of_freedom(strata: Sequence[Estimate]) -> float:
    """Satterthwaite's (sum se_k^2)^2 / sum(se_k^4 / (n_k - 1)), over the strata that vary; infinite when none does."""
    varying = [s for s in strata if s.stderr > 0.0]
    denominator = sum(s.stderr**4 / (s.n - 1) for s in varying)
    return sum(s.stderr**2 for s in varying) ** 2 / denominator if denominator else math.inf


def _difference_estimate(baseline: ArrayLike, latent: ArrayLike) -> Estimate:
    difference = np.asarray(latent, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    return t_estimate(difference) if difference.size else mean_estimate(difference)
