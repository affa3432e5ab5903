"""One mean with its standard error and its 95 % interval. Knows nothing of pairs, tasks or units.

Items are taken as independent. The K draws of one item are not: `item_means` averages them before anything else.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
"""The level of an interval of this package that names no other."""
INNER_CONFIDENCE = 0.90
"""The level of the interval that two one-sided 5 % tests make: it decides on equivalence."""
ROUNDING_NOISE = 1e-12
"""What two scores of the order of 1 may differ by and still be the same score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Two ends and the level that they were made for."""

    low: float
    high: float
    confidence: float
    """Between 0 and 1, such as 0.95."""

    def within(self, margin: float) -> bool:
        """Whether all of it lies strictly between -margin and margin; False where an end is nan."""
        return -margin < self.low and self.high < margin


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean and how well it is known."""

    mean: float
    stderr: float
    """Standard error of the mean, in the scores' unit; nan where it can't be had."""
    low: float
    """Lower end of the 95 % interval; nan where it can't be had."""
    high: float
    n: int
    """Independent items behind the mean."""
    method: str
    """How the standard error and the interval were made, in words."""
    reason: str = ""
    """Why a number is nan; empty when none is."""
    degrees_of_freedom: float = math.nan
    """Of the t interval; nan where the interval is none."""


def item_means(values: ArrayLike) -> NDArray[np.float64]:
    """One score per item, shape (n,): K draws per item, shape (n, K), are averaged.

    Draws of one item share what is hard about it, so n K draws are not n K independent scores.

    Raises:
        ValueError: another number of dimensions, no draw, or a value that is not finite.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim == 1:
        return as_scores(scores)
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"expected scores of shape (n,) or (n, K) with K >= 1, got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(scores))} of {scores.size} scores are not finite")
    means: NDArray[np.float64] = scores.mean(axis=1)
    return means


def as_scores(values: ArrayLike) -> NDArray[np.float64]:
    """The values as a one-dimensional float array, shape (n,).

    Raises:
        ValueError: more than one dimension, or a value that is not finite (an unscored item is left out by the caller).
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1:
        raise ValueError(f"scores must have one dimension, got shape {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(scores))} of {scores.size} scores are not finite")
    return scores


def is_binary(scores: NDArray[np.float64]) -> bool:
    """Whether every score is 0 or 1."""
    return bool(np.isin(scores, (0.0, 1.0)).all())


def mean_estimate(values: ArrayLike) -> Estimate:
    """The mean of the scores, with lm-eval's standard error sqrt(var(ddof=1) / n).

    The interval is Wilson's where every score is 0 or 1, Student's t otherwise.

    Raises:
        ValueError: see `as_scores`.
    """
    scores = as_scores(values)
    if scores.size == 0:
        return undefined_estimate("no scored item")
    if is_binary(scores):
        return proportion_estimate(int(scores.sum()), scores.size)
    return t_estimate(scores)


def proportion_estimate(num_successes: int, n: int) -> Estimate:
    """A proportion: sample standard error, and the score interval of Wilson (1927), which stays inside [0, 1].

    Raises:
        ValueError: not 0 <= num_successes <= n, or n = 0.
    """
    if not 0 <= num_successes <= n or n == 0:
        raise ValueError(f"expected 0 <= num_successes <= n and n >= 1, got {num_successes} of {n}")
    p = num_successes / n
    low, high = _wilson_interval(p, n)
    stderr = math.sqrt(p * (1.0 - p) / (n - 1)) if n > 1 else math.nan
    reason = "" if n > 1 else "one item has no spread"
    return Estimate(
        mean=p, stderr=stderr, low=low, high=high, n=n, method="sample stderr, Wilson interval", reason=reason
    )


def t_estimate(scores: NDArray[np.float64]) -> Estimate:
    """The mean of n >= 1 scores with the sample standard error and Student's t interval of n - 1 degrees of freedom."""
    n, mean = scores.size, float(scores.mean())
    if n < 2:
        return undefined_estimate("one item has no spread", mean=mean, n=n)
    stderr = 0.0 if is_constant(scores) else float(scores.std(ddof=1)) / math.sqrt(n)
    ends = t_interval(mean, stderr, n - 1)
    return Estimate(
        mean=mean,
        stderr=stderr,
        low=ends.low,
        high=ends.high,
        n=n,
        method="sample stderr, t interval",
        degrees_of_freedom=n - 1,
    )


def t_interval(mean: float, stderr: float, degrees_of_freedom: float, confidence: float = CONFIDENCE) -> Interval:
    """Student's t interval; a point where the standard error is 0, nan where it is nan."""
    quantile = float(stats.t.ppf(0.5 + confidence / 2, degrees_of_freedom)) if stderr else 0.0
    return Interval(low=mean - quantile * stderr, high=mean + quantile * stderr, confidence=confidence)


def undefined_estimate(reason: str, *, mean: float = math.nan, n: int = 0) -> Estimate:
    """An estimate without standard error and interval, and why."""
    return Estimate(mean=mean, stderr=math.nan, low=math.nan, high=math.nan, n=n, method="none", reason=reason)


def normal_quantile(confidence: float = CONFIDENCE) -> float:
    """The standard normal's two-sided quantile at a level, 1.96 at 95 %."""
    return float(stats.norm.ppf(0.5 + confidence / 2))


def is_constant(scores: NDArray[np.float64]) -> bool:
    """Whether the scores differ by rounding noise at most, which would make a tiny but false standard error."""
    return bool(np.ptp(scores) <= ROUNDING_NOISE * max(1.0, np.abs(scores).max()))


def _wilson_interval(p: float, n: int) -> tuple[float, float]:
    z = normal_quantile()
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At 0 and 1 the end is exact; the subtraction would leave rounding noise there.
    low = 0.0 if p == 0.0 else max(0.0, centre - half)
    high = 1.0 if p == 1.0 else min(1.0, centre + half)
    return low, high
