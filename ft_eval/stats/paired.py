"""Two models on the same items: the mean difference, its interval, and one test that fits the data. Numbers only.

    scores all 0 or 1   two-sided mid-p McNemar (exact p beside it), score interval of Tango (1998)
    anything else       paired t test, t interval

The score interval is the inverse of McNemar's test without the mid-p, so for a few counts (4 wins and no loss is one)
it would just miss 0 where p is just above 0.05. There it is widened to 0: interval and test never contradict.

Mid-p keeps its 5 % on a few hundred items, where the exact test is timid and a Wald test too bold (Fagerland,
Lydersen & Laake 2013, "The McNemar test for binary matched-pairs data").
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from ft_eval.stats.estimate import (
    CONFIDENCE,
    ROUNDING_NOISE,
    Estimate,
    as_scores,
    is_binary,
    normal_quantile,
    t_estimate,
    undefined_estimate,
)

MCNEMAR = "mid-p McNemar"
PAIRED_T = "paired t"
_HELD_INTERVAL = "paired stderr, Tango score interval held to the test"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """The latent against its baseline over the items that both have."""

    difference: Estimate
    """Latent minus baseline, in the scores' unit; n counts pairs."""
    p_value: float
    """Two-sided; nan where the test is undefined."""
    p_exact: float | None
    """McNemar's exact two-sided p, for 0/1 scores only."""
    test: str
    """The test behind `p_value`, in words."""
    num_wins: int
    """Items on which the latent is better."""
    num_losses: int
    num_ties: int
    is_binary: bool = False
    reason: str = ""
    """Why the p value is nan; empty when it is not."""


def compare_paired(baseline: ArrayLike, latent: ArrayLike, *, higher_is_better: bool = True) -> PairedComparison:
    """Compare scores of the same items in the same order, each of shape (n,).

    Raises:
        ValueError: shapes that differ, or see `as_scores`.
    """
    base, other = as_scores(baseline), as_scores(latent)
    if base.shape != other.shape:
        raise ValueError(f"shape mismatch: baseline {base.shape}, latent {other.shape}")
    difference = np.where(np.isclose(other, base, rtol=ROUNDING_NOISE, atol=ROUNDING_NOISE), 0.0, other - base)
    is_zero_one = bool(base.size) and is_binary(base) and is_binary(other)
    result = _compare_binary(difference) if is_zero_one else _compare_continuous(difference)
    return result if higher_is_better else replace(result, num_wins=result.num_losses, num_losses=result.num_wins)


def mcnemar_mid_p(num_wins: int, num_losses: int) -> float:
    """Two-sided mid-p of McNemar's test: the exact p less the probability of the observed split.

    As many wins as losses give 1, and so does no discordant item at all.
    """
    num_discordant, smaller = num_wins + num_losses, min(num_wins, num_losses)
    tail = float(stats.binom.cdf(smaller, num_discordant, 0.5))
    return min(1.0, 2.0 * tail - float(stats.binom.pmf(smaller, num_discordant, 0.5)))


def mcnemar_exact_p(num_wins: int, num_losses: int) -> float:
    """Two-sided exact p of McNemar's test: a binomial test of the discordant items against one half."""
    return min(1.0, 2.0 * float(stats.binom.cdf(min(num_wins, num_losses), num_wins + num_losses, 0.5)))


def paired_score_interval(num_wins: int, num_losses: int, n: int) -> tuple[float, float]:
    """95 % score interval for a difference of paired proportions, inside [-1, 1] (Tango 1998, Stat. Med. 17:891).

    Unlike the Wald interval it keeps its width when no item is discordant.

    Raises:
        ValueError: n = 0, a negative count, or more discordant items than items.
    """
    if n < 1 or min(num_wins, num_losses) < 0 or num_wins + num_losses > n:
        raise ValueError(f"expected counts of n >= 1 items, got {num_wins} wins and {num_losses} losses of {n}")
    high = _upper_score_limit(num_wins, num_losses, n)
    low = -_upper_score_limit(num_losses, num_wins, n)
    return low, high


def _upper_score_limit(num_wins: int, num_losses: int, n: int) -> float:
    """The largest delta in [d, 1] that the score test does not reject, d the observed difference."""
    observed, z = (num_wins - num_losses) / n, normal_quantile()
    if observed == 1.0:
        return 1.0

    def excess(delta: float) -> float:
        return _score_distance(num_wins, num_losses, n, delta) - z

    step = 1e-12
    return float(optimize.brentq(excess, observed + step * max(1.0, 1.0 - observed), 1.0 - step, xtol=1e-13))


def _score_distance(num_wins: int, num_losses: int, n: int, delta: float) -> float:
    """(delta - observed) over its standard error at the likelihood's maximum under `delta`."""
    b = (2 * n - num_wins + num_losses) * delta - num_wins - num_losses
    c = -num_losses * delta * (1.0 - delta)
    q = (math.sqrt(max(0.0, b * b - 8.0 * n * c)) - b) / (4.0 * n)
    variance = n * (2.0 * q + delta * (1.0 - delta))
    return (n * delta - (num_wins - num_losses)) / math.sqrt(variance)


def _compare_binary(difference: NDArray[np.float64]) -> PairedComparison:
    higher, lower, n = _count(difference > 0), _count(difference < 0), difference.size
    p_value = mcnemar_mid_p(higher, lower)
    low, high = paired_score_interval(higher, lower, n)
    if p_value >= 1.0 - CONFIDENCE:
        low, high = min(low, 0.0), max(high, 0.0)
    return PairedComparison(
        difference=replace(t_estimate(difference), low=low, high=high, method=_HELD_INTERVAL),
        p_value=p_value,
        p_exact=mcnemar_exact_p(higher, lower),
        test=MCNEMAR,
        num_wins=higher,
        num_losses=lower,
        num_ties=n - higher - lower,
        is_binary=True,
    )


def _compare_continuous(difference: NDArray[np.float64]) -> PairedComparison:
    estimate = t_estimate(difference) if difference.size else undefined_estimate("no pair of scored items")
    p_value, reason = t_test_p(estimate, estimate.n - 1)
    higher, lower = _count(difference > 0), _count(difference < 0)
    return PairedComparison(
        difference=estimate,
        p_value=p_value,
        p_exact=None,
        test=PAIRED_T,
        num_wins=higher,
        num_losses=lower,
        num_ties=difference.size - higher - lower,
        reason=reason,
    )


def _count(where: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(where))


def t_test_p(difference: Estimate, degrees_of_freedom: float) -> tuple[float, str]:
    """Two-sided p of Student's t against a zero difference, and why it is nan where it is."""
    if math.isnan(difference.stderr):
        return math.nan, difference.reason
    if difference.stderr == 0.0:
        return (1.0, "") if difference.mean == 0.0 else (math.nan, "every item differs by the same amount")
    return float(2.0 * stats.t.sf(abs(difference.mean) / difference.stderr, degrees_of_freedom)), ""
