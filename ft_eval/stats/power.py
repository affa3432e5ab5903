"""What a run can see: the smallest difference it would detect, and the draws or items that a given one needs.

    0/1 scores, one draw   exact power of the mid-p McNemar test, over the number of changed items and their split
    everything else        power of the paired t test, noncentral t with n − 1 degrees of freedom

A difference is in the scores' unit, so 0.03 is 3 points of a score in [0, 1]. Numbers only.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from ft_eval.stats.mcnemar import largest_rejected
from ft_eval.stats.paired import PairedComparison
from ft_eval.stats.variance import PairedVariance

MAX_ITEMS = 10_000_000
_TAIL = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """How sure a run should be."""

    power: float = 0.80
    """The chance to find a difference that is there."""
    alpha: float = 0.05
    """Two-sided level of the test; divide it by the number of primary tasks to plan for a family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectableEffect:
    """The smallest difference that is found with the target's power."""

    difference: float
    """In the scores' unit, not signed; nan where there is none."""
    n: int
    method: str
    target: Target
    baseline: float = math.nan
    """The score that `percent` is relative to."""
    reason: str = ""
    """Why it is nan; empty where it is not."""

    @property
    def points(self) -> float:
        """Percentage points of a score in [0, 1]."""
        return 100.0 * self.difference

    @property
    def percent(self) -> float:
        """Relative to the baseline's score; nan where that is not positive."""
        return 100.0 * self.difference / self.baseline if self.baseline > 0.0 else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What it takes to find a given difference with the target's power."""

    difference: float
    num_draws: int | None
    """The fewest draws per item and side; None where no number of draws is enough."""
    num_items: int | None
    """The fewest items with the draws that were asked about; None where it was not asked or 10 million are too few."""
    reason: str = ""


DEFAULT_TARGET = Target()


def power_mcnemar(n: int, discordance: float, difference: float, alpha: float = 0.05) -> float:
    """The chance that the mid-p McNemar test rejects: exact, summed over the number m of changed items.

        m ~ Binomial(n, discordance), wins ~ Binomial(m, (1 + difference / discordance) / 2)

    Raises:
        ValueError: n < 1, or not |difference| <= discordance <= 1.
    """
    if n < 1 or not abs(difference) <= discordance <= 1.0:
        raise ValueError(f"expected n >= 1 and |difference| <= discordance <= 1, got {n}, {difference}, {discordance}")
    if discordance == 0.0:
        return 0.0
    ends = np.asarray(stats.binom.ppf([_TAIL, 1.0 - _TAIL], n, discordance))
    changed = np.arange(int(ends[0]), int(ends[1]) + 1)
    limit, share = largest_rejected(changed, alpha), (1.0 + difference / discordance) / 2.0
    rejected = stats.binom.cdf(limit, changed, share) + stats.binom.sf(changed - limit - 1, changed, share)
    chance = stats.binom.pmf(changed, n, discordance)
    return min(1.0, float((chance * np.where(limit >= 0, rejected, 0.0)).sum()))


def power_t(n: int, variance: float, difference: float, alpha: float = 0.05) -> float:
    """The chance that the paired t test over n items rejects, for normal differences of that variance per item."""
    return _power_nct(n - 1, abs(difference) * math.sqrt(n / variance), alpha)


def detectable_binary(
    n: int, discordance: float, *, baseline: float = math.nan, target: Target = DEFAULT_TARGET
) -> DetectableEffect:
    """Before a run of 0/1 scores with one draw: from the share of items that the two models are assumed to differ on.

    A difference can't be larger than the discordance; where even that is not found, the discordance grows with it.

    Raises:
        ValueError: n < 1, or not 0 <= discordance <= 1.
    """
    if n < 1 or not 0.0 <= discordance <= 1.0:
        raise ValueError(f"expected n >= 1 and 0 <= discordance <= 1, got {n} and {discordance}")

    def lacking(difference: float) -> float:
        return power_mcnemar(n, max(discordance, difference), difference, target.alpha) - target.power

    found, reason = math.nan, f"{n} items are too few for any difference"
    if lacking(1.0) >= 0.0:
        found, reason = float(optimize.brentq(lacking, 1e-9, 1.0, xtol=1e-7)), ""
    return DetectableEffect(
        difference=found,
        n=n,
        method="exact power of mid-p McNemar",
        target=target,
        baseline=baseline,
        reason=reason,
    )


def detectable_mean(
    n: int, variance: float, *, baseline: float = math.nan, target: Target = DEFAULT_TARGET
) -> DetectableEffect:
    """Before a run of averaged draws or real scores: from the assumed variance of an item's difference.

    `PairedVariance.per_item` makes that variance from the draws of both sides.

    Raises:
        ValueError: a negative variance.
    """
    if variance < 0.0:
        raise ValueError(f"expected a variance of 0 or more, got {variance}")
    return _detectable_from_error(math.sqrt(variance / n), n - 1, n, baseline=baseline, target=target)


def detectable_after(
    comparison: PairedComparison, *, baseline: float = math.nan, target: Target = DEFAULT_TARGET
) -> DetectableEffect:
    """After a run: what it could have seen, from the discordance or the standard error that it had."""
    observed, n = comparison.difference, comparison.difference.n
    changed = comparison.num_wins + comparison.num_losses
    has_spread = not (math.isnan(observed.stderr) or observed.reason)
    if not (has_spread and comparison.has_changes):
        reason = observed.reason or "no item changed, so its variance is unknown"
        return DetectableEffect(
            difference=math.nan, n=n, method="none", target=target, baseline=baseline, reason=reason
        )
    if comparison.is_binary:
        return detectable_binary(n, changed / n, baseline=baseline, target=target)
    degrees = observed.degrees_of_freedom
    return _detectable_from_error(observed.stderr, degrees, n, baseline=baseline, target=target)


def draws_needed(
    difference: float,
    n: int,
    variance: PairedVariance,
    *,
    baseline_draws: int | None = None,
    target: Target = DEFAULT_TARGET,
) -> Resolution:
    """The fewest draws per item that find the difference on these n items.

    Args:
        difference: in the scores' unit.
        n: items, at least 2.
        variance: of one item's difference, by source.
        baseline_draws: draws of the baseline, where these stay as they are; None where both sides get K.
        target: power and level.

    Raises:
        ValueError: n < 2.
    """
    if n < 2:
        raise ValueError(f"expected n >= 2 items, got {n}")
    affordable = n * (abs(difference) / _noncentrality(n - 1, target)) ** 2
    fixed = variance.item + (0.0 if baseline_draws is None else variance.baseline_draw / baseline_draws)
    noise = variance.latent_draw + (variance.baseline_draw if baseline_draws is None else 0.0)
    if noise == 0.0 and fixed <= affordable:
        return Resolution(difference=difference, num_draws=1, num_items=None)
    if fixed >= affordable:
        reason = f"no K resolves it: on {n:,} items, what draws don't average away is already too large"
        return Resolution(difference=difference, num_draws=None, num_items=None, reason=reason)
    # Taken down a little before it is rounded up: a quotient of exactly 8 must not become 9.
    num_draws = math.ceil(noise / (affordable - fixed) * (1.0 - 1e-12))
    return Resolution(difference=difference, num_draws=max(1, num_draws), num_items=None)


def items_needed(difference: float, variance_per_item: float, *, target: Target = DEFAULT_TARGET) -> Resolution:
    """The fewest items that find the difference, for that variance of one item's difference."""

    def is_enough(n: int) -> bool:
        return n * difference**2 >= variance_per_item * _noncentrality(n - 1, target) ** 2

    high = 2
    while not is_enough(high):
        high *= 2
        if high > MAX_ITEMS:
            reason = f"more than {MAX_ITEMS:,} items"
            return Resolution(difference=difference, num_draws=None, num_items=None, reason=reason)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return Resolution(difference=difference, num_draws=None, num_items=high)


def _detectable_from_error(
    stderr: float, degrees_of_freedom: float, n: int, *, baseline: float, target: Target
) -> DetectableEffect:
    enough = degrees_of_freedom >= 1.0
    return DetectableEffect(
        difference=_noncentrality(degrees_of_freedom, target) * stderr if enough else math.nan,
        n=n,
        method="power of the t test",
        target=target,
        baseline=baseline,
        reason="" if enough else "one item has no spread",
    )


def _noncentrality(degrees_of_freedom: float, target: Target) -> float:
    """How many standard errors a difference must have; 2.80 for 80 % at 5 % and many items."""

    def lacking(shift: float) -> float:
        return _power_nct(degrees_of_freedom, shift, target.alpha) - target.power

    high = 8.0
    while lacking(high) < 0.0:
        high *= 2.0
    return float(optimize.brentq(lacking, 0.0, high, xtol=1e-10))


def _power_nct(degrees_of_freedom: float, shift: float, alpha: float) -> float:
    critical = float(stats.t.isf(alpha / 2, degrees_of_freedom))
    above = float(stats.nct.sf(critical, degrees_of_freedom, shift))
    below = float(stats.nct.cdf(-critical, degrees_of_freedom, shift))
    return above + (0.0 if math.isnan(below) else below)
