"""Two models on the same items: the mean difference, its interval, and one test that fits the data. Numbers only.

    scores all 0 or 1   two-sided mid-p McNemar (exact p beside it), score interval of Tango (1998)
    anything else       paired t test, t interval; where nothing changed, see `no_spread`

The score interval is the inverse of McNemar's test without the mid-p, so for a few counts (4 wins and no loss is one)
it would just miss 0 where p is just above 0.05. There it is widened to 0: interval and test never contradict.

Mid-p keeps its 5 % on a few hundred items, where the exact test is timid and a Wald test too bold (Fagerland,
Lydersen & Laake 2013, "The McNemar test for binary matched-pairs data").

Several draws per item, clusters of items and the sign-flip test are in `draws`.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ft_eval.stats.estimate import (
    CONFIDENCE,
    INNER_CONFIDENCE,
    ROUNDING_NOISE,
    Estimate,
    Interval,
    as_scores,
    is_binary,
    t_estimate,
    undefined_estimate,
)
from ft_eval.stats.mcnemar import mcnemar_exact_p, mcnemar_mid_p, paired_score_interval
from ft_eval.stats.no_spread import SAME_AMOUNT, Difference, num_units, why_constant, with_intervals

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
    interval_90: Interval | None = None
    """The difference's 90 % interval, made like the 95 % one: inside a margin, it says equivalent."""
    p_permutation: float | None = None
    """Two-sided p of the sign-flip test, where it was made."""
    permutation: str = ""
    """How the sign-flip test was made, in words."""
    num_baseline_draws: int = 1
    """Draws per item that were averaged."""
    num_latent_draws: int = 1
    num_clusters: int | None = None
    """Clusters of items behind the standard error; None where items are independent."""
    is_unpaired: bool = False
    """Whether the items are two samples of their own (`unpaired`): `difference.n` counts both, and nobody wins."""

    @property
    def has_changes(self) -> bool:
        """Whether any item differs between the two; between two samples, always."""
        return self.is_unpaired or self.num_wins + self.num_losses > 0


def compare_paired(baseline: ArrayLike, latent: ArrayLike, *, higher_is_better: bool = True) -> PairedComparison:
    """Compare scores of the same items in the same order, each of shape (n,).

    Raises:
        ValueError: shapes that differ, or see `as_scores`.
    """
    base, other = as_scores(baseline), as_scores(latent)
    difference = paired_differences(base, other)
    is_zero_one = bool(base.size) and is_binary(base) and is_binary(other)
    result = _compare_binary(difference) if is_zero_one else _compare_continuous(difference, num_units(base, other))
    return result if higher_is_better else replace(result, num_wins=result.num_losses, num_losses=result.num_wins)


def paired_differences(base: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Latent minus baseline, shape (n,); what differs by rounding noise alone is exactly 0.

    Raises:
        ValueError: shapes that differ.
    """
    if base.shape != other.shape:
        raise ValueError(f"shape mismatch: baseline {base.shape}, latent {other.shape}")
    return np.where(np.isclose(other, base, rtol=ROUNDING_NOISE, atol=ROUNDING_NOISE), 0.0, other - base)


def _compare_binary(difference: NDArray[np.float64]) -> PairedComparison:
    higher, lower, n = _count(difference > 0), _count(difference < 0), difference.size
    p_value = mcnemar_mid_p(higher, lower)
    ends = _held_interval((higher, lower, n), p_value, CONFIDENCE)
    return PairedComparison(
        difference=replace(
            t_estimate(difference), low=ends.low, high=ends.high, method=_HELD_INTERVAL, degrees_of_freedom=math.nan
        ),
        p_value=p_value,
        p_exact=mcnemar_exact_p(higher, lower),
        test=MCNEMAR,
        num_wins=higher,
        num_losses=lower,
        num_ties=n - higher - lower,
        is_binary=True,
        interval_90=_held_interval((higher, lower, n), p_value, INNER_CONFIDENCE),
    )


def _held_interval(counts: tuple[int, int, int], p_value: float, confidence: float) -> Interval:
    """Tango's interval for (wins, losses, n), widened to 0 where the test at that level does not reject."""
    num_wins, num_losses, n = counts
    low, high = paired_score_interval(num_wins, num_losses, n, confidence=confidence)
    if p_value >= 1.0 - confidence:
        low, high = min(low, 0.0), max(high, 0.0)
    return Interval(low=low, high=high, confidence=confidence)


def _compare_continuous(difference: NDArray[np.float64], units: float) -> PairedComparison:
    estimate = t_estimate(difference) if difference.size else undefined_estimate("no pair of scored items")
    return compare_by_t(with_intervals(estimate, units, why_constant(difference)), difference, PAIRED_T)


def compare_by_t(found: Difference, difference: NDArray[np.float64], test: str) -> PairedComparison:
    """The comparison that a mean difference and its t distribution make; wins and losses are those of `difference`."""
    p_value, reason = t_test_p(found.estimate, found.estimate.degrees_of_freedom)
    higher, lower = _count(difference > 0), _count(difference < 0)
    return PairedComparison(
        difference=found.estimate,
        p_value=p_value,
        p_exact=None,
        test=test,
        num_wins=higher,
        num_losses=lower,
        num_ties=difference.size - higher - lower,
        reason=reason,
        interval_90=found.interval_90,
    )


def _count(where: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(where))


def t_test_p(difference: Estimate, degrees_of_freedom: float) -> tuple[float, str]:
    """Two-sided p of Student's t against a zero difference, and why it is nan where it is."""
    if math.isnan(difference.stderr):
        return math.nan, difference.reason
    if difference.stderr == 0.0:
        return (1.0, "") if abs(difference.mean) <= ROUNDING_NOISE else (math.nan, difference.reason or SAME_AMOUNT)
    return float(2.0 * stats.t.sf(abs(difference.mean) / difference.stderr, degrees_of_freedom)), ""
