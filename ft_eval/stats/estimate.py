"""One mean with its standard error and its 95 % interval. Knows nothing of pairs, tasks or units.

Items are taken as independent; scores of K draws of one item are averaged before they come here.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
"""The level of every interval of this package."""
ROUNDING_NOISE = 1e-12
"""What two scores of the order of 1 may differ by and still be the same score."""


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
    stderr = 0.0 if _is_constant(scores) else float(scores.std(ddof=1)) / math.sqrt(n)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * stderr
    low, high = mean - half, mean + half
    return Estimate(mean=mean, stderr=stderr, low=low, high=high, n=n, method="sample stderr, t interval")


def undefined_estimate(reason: str, *, mean: float = math.nan, n: int = 0) -> Estimate:
    """An estimate without standard error and interval, and why."""
    return Estimate(mean=mean, stderr=math.nan, low=math.nan, high=math.nan, n=n, method="none", reason=reason)


def normal_quantile() -> float:
    """The standard normal's two-sided quantile at `CONFIDENCE`, 1.96."""
    return float(stats.norm.ppf(0.5 + CONFIDENCE / 2))


def _is_constant(scores: NDArray[np.float64]) -> bool:
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
