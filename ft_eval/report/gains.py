"""Relative gains with intervals of what the report compares: one task, all items in one heap, or one vote per task."""

import math
from collections.abc import Sequence

import numpy as np

from ft_eval.report.evidence import Pairs
from ft_eval.stats import Estimate, PairedComparison, RelativeGain, gain_interval, relative_gain
from ft_eval.stats.clusters import MeanCovariance, mean_covariance
from ft_eval.stats.gain import FIELLER, fieller_ends, suppressed_gain
from ft_eval.stats.no_spread import NOTHING_CHANGED, NOTHING_VARIES, SAME_AMOUNT

STRATIFIED = f"{FIELLER}, stratified by task"
UNPAIRED = f"{FIELLER}, unpaired"
_REACHES_ZERO = "the baseline's 95 % interval reaches 0"


def pooled_gain(pairs: Pairs, *, chance: float) -> RelativeGain:
    """The gain over the items of one task, or of several in one heap, with Fieller's interval.

    Args:
        pairs: of n items.
        chance: the score of guessing.
    """
    return gain_interval(pairs.baseline, pairs.latent, clusters=pairs.clusters, chance=chance)


def macro_gain(strata: Sequence[Pairs], baseline: Estimate, paired: PairedComparison, *, chance: float) -> RelativeGain:
    """The gain of one macro mean over another, with Fieller's interval of the stratified means.

    Its degrees of freedom are those of the difference, so at a gain of 0 it is the stratified t test.

    Args:
        strata: the pairs of each task.
        baseline: the macro mean of the baseline.
        paired: the comparison of the two macro means.
        chance: the score of guessing, as a macro mean.
    """
    means = np.array([[pairs.baseline.mean(), pairs.latent.mean()] for pairs in strata])
    if reason := _why_none(baseline, paired, chance):
        return suppressed_gain(means, reason)
    parts = [mean_covariance(np.stack([pairs.baseline, pairs.latent], axis=1), pairs.clusters) for pairs in strata]
    found = MeanCovariance(
        means=means.mean(axis=0),
        covariance=np.sum([part.covariance for part in parts], axis=0) / len(parts) ** 2,
        degrees_of_freedom=paired.difference.degrees_of_freedom,
        num_clusters=sum(part.num_clusters for part in parts),
    )
    return _fieller(found, STRATIFIED)


def unpaired_gain(baseline: Estimate, latent: Estimate, paired: PairedComparison, *, chance: float) -> RelativeGain:
    """The gain of one independent mean over another, with Fieller's interval of two means that don't vary together.

    Args:
        baseline: with its standard error.
        latent: the same.
        paired: the comparison of the two, for its degrees of freedom.
        chance: the score of guessing.
    """
    means = np.array([baseline.mean, latent.mean])
    if reason := _why_none(baseline, paired, chance):
        return suppressed_gain(means[None], reason)
    found = MeanCovariance(
        means=means,
        covariance=np.diag([baseline.stderr**2, latent.stderr**2]),
        degrees_of_freedom=paired.difference.degrees_of_freedom,
        num_clusters=paired.difference.n,
    )
    return _fieller(found, UNPAIRED)


def _fieller(found: MeanCovariance, method: str) -> RelativeGain:
    try:
        low, high = (100.0 * (end - 1.0) for end in fieller_ends(found))
    except ValueError:  # with the difference's degrees of freedom, the baseline is not away from 0
        return suppressed_gain(found.means[None], _REACHES_ZERO)
    point = relative_gain(float(found.means[0]), float(found.means[1]))
    return RelativeGain(percent=point.percent, method=method, low=low, high=high, difference=point.difference)


def _why_none(baseline: Estimate, paired: PairedComparison, chance: float) -> str:
    if math.isnan(baseline.low) or math.isnan(paired.difference.stderr):
        return baseline.reason or paired.difference.reason
    if baseline.low <= 0.0:
        return _REACHES_ZERO
    if baseline.low <= chance:
        return f"the baseline's 95 % interval reaches chance level, {100 * chance:.4g} %"
    if paired.difference.stderr > 0.0:
        return ""
    return why_no_spread(paired)


def why_no_spread(paired: PairedComparison) -> str:
    """Why a difference has a standard error of 0."""
    if paired.difference.reason or paired.is_unpaired:
        return paired.difference.reason or NOTHING_VARIES
    return SAME_AMOUNT if paired.has_changes else NOTHING_CHANGED
