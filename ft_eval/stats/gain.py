"""The gain relative to the baseline, in percent: the currency of the paper's tables. Numbers only.

The interval is Fieller's (1954): all ratios R for which latent − R baseline passes a t test over items (or clusters).
At R = 1 that is the paired t test of the difference, so interval and test agree; it needs no resampling and keeps its
95 % at baselines from 5 to 60 % and n from 164. For 0/1 scores with one draw the test is the mid-p McNemar, which is
a little stricter: where it does not reject, the interval is widened to 0 %. A bootstrap is in `bootstrap`.

A relative gain over almost nothing means nothing: it is left out, with the reason, where the baseline's own 95 %
interval reaches 0 or the score that guessing gets, and where no score changed or the changes show no spread
(`no_spread`). The absolute difference always stands beside it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ft_eval.stats.clusters import MeanCovariance, cluster_estimate, mean_covariance
from ft_eval.stats.estimate import CONFIDENCE, Estimate, is_binary, item_means, mean_estimate
from ft_eval.stats.mcnemar import mcnemar_mid_p
from ft_eval.stats.no_spread import why_no_spread
from ft_eval.stats.paired import paired_differences

FIELLER = "difference over the baseline's mean, Fieller interval"
HELD_FIELLER = f"{FIELLER} held to the test"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeGain:
    """How much the latent's score differs from the baseline's, relative to the baseline's."""

    percent: float
    """100 (latent - baseline) / baseline; nan where undefined."""
    method: str = "difference over the baseline's mean"
    reason: str = ""
    """Why it is undefined; empty when it is not."""
    low: float = math.nan
    """Lower end of the 95 % interval, in percent; nan where it was not asked for or can't be had."""
    high: float = math.nan
    difference: float = math.nan
    """Latent minus baseline, in the scores' unit: there even where the gain is not."""


def relative_gain(baseline: float, latent: float) -> RelativeGain:
    """The relative gain of `latent` over `baseline`, undefined for a baseline that is not positive.

    >>> relative_gain(0.25, 0.30).percent
    20.0
    >>> relative_gain(0.0, 0.1).reason
    'baseline 0'
    """
    difference = latent - baseline
    if math.isnan(difference):
        return RelativeGain(percent=math.nan, reason="a score is missing")
    if baseline == 0.0:
        return RelativeGain(percent=math.nan, reason="baseline 0", difference=difference)
    if baseline < 0.0:
        return RelativeGain(percent=math.nan, reason="baseline below 0", difference=difference)
    # Rounded at the 12th decimal: 100 (0.30 - 0.25) / 0.25 is 20, not 19.999999999999996.
    return RelativeGain(percent=round(100.0 * (latent - baseline) / baseline, 12), difference=difference)


def gain_interval(
    baseline: ArrayLike, latent: ArrayLike, *, clusters: ArrayLike | None = None, chance: float = 0.0
) -> RelativeGain:
    """The relative gain with Fieller's 95 % interval.

    Args:
        baseline: shape (n,) or (n, K); draws are averaged per item.
        latent: the same items in the same order, shape (n,) or (n, K).
        clusters: the cluster of each item, shape (n,); None for independent items.
        chance: the score of guessing, such as 0.25 for four choices.

    Raises:
        ValueError: shapes that do not fit, a score that is not finite.
    """
    columns = paired_columns(baseline, latent)
    if reason := why_no_gain(columns, clusters, chance):
        return suppressed_gain(columns, reason)
    found = mean_covariance(columns, clusters)
    low, high = (100.0 * (end - 1.0) for end in fieller_ends(found))
    is_held = clusters is None and is_binary(columns.ravel())
    if is_held and not _is_told_apart(columns):
        low, high = min(low, 0.0), max(high, 0.0)
    point = relative_gain(float(found.means[0]), float(found.means[1]))
    return RelativeGain(
        percent=point.percent,
        method=HELD_FIELLER if is_held else FIELLER,
        low=low,
        high=high,
        difference=point.difference,
    )


def paired_columns(baseline: ArrayLike, latent: ArrayLike) -> NDArray[np.float64]:
    """Item means of baseline and latent side by side, shape (n, 2).

    Raises:
        ValueError: other items, see `item_means`.
    """
    base, other = item_means(baseline), item_means(latent)
    if base.shape != other.shape:
        raise ValueError(f"shape mismatch: baseline {base.shape}, latent {other.shape}")
    return np.stack([base, other], axis=1)


def why_no_gain(columns: NDArray[np.float64], clusters: ArrayLike | None, chance: float) -> str:
    """Why a gain between these scores of baseline and latent, shape (n, 2), means nothing; empty where it does."""
    base = columns[:, 0]
    estimates = [cluster_estimate(base, clusters)]
    if clusters is None and is_binary(base):
        estimates.append(mean_estimate(base))  # the interval that is shown beside the score
    if not base.size or math.isnan(estimates[0].stderr):
        return estimates[0].reason
    low = min(_lower_end(estimate) for estimate in estimates)
    if low <= 0.0:
        return "the baseline's 95 % interval reaches 0"
    if low <= chance:
        return f"the baseline's 95 % interval reaches chance level, {100 * chance:.4g} %"
    return why_no_spread(paired_differences(base, columns[:, 1]), clusters)


def suppressed_gain(columns: NDArray[np.float64], reason: str) -> RelativeGain:
    """No gain but the reason; the difference of the means, where there is an item, is kept."""
    difference = float(np.diff(columns.mean(axis=0))[0]) if len(columns) else math.nan
    return RelativeGain(percent=math.nan, method="none", reason=reason, difference=difference)


def fieller_ends(found: MeanCovariance) -> tuple[float, float]:
    """Both solutions R of (l − R b)² = t² (V_ll − 2 R V_bl + R² V_bb), for means (b, l) with b away from 0.

    Raises:
        ValueError: b within t standard errors of 0, where the ratios are no interval.
    """
    base, latent = found.means
    t2 = float(stats.t.ppf(0.5 + CONFIDENCE / 2, found.degrees_of_freedom)) ** 2
    square = base**2 - t2 * found.covariance[0, 0]
    if not (base > 0.0 and square > 0.0):
        raise ValueError("the baseline is not away from 0, so the ratio has no interval")
    middle = base * latent - t2 * found.covariance[0, 1]
    rest = latent**2 - t2 * found.covariance[1, 1]
    root = math.sqrt(max(0.0, middle**2 - square * rest))
    return float((middle - root) / square), float((middle + root) / square)


def _is_told_apart(columns: NDArray[np.float64]) -> bool:
    changes = columns[:, 1] - columns[:, 0]
    return mcnemar_mid_p(int((changes > 0).sum()), int((changes < 0).sum())) < 1.0 - CONFIDENCE


def _lower_end(estimate: Estimate) -> float:
    return estimate.low if not math.isnan(estimate.low) else estimate.mean
