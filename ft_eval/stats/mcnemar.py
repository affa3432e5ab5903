"""McNemar's test from its two counts, and the score interval that belongs to it. Numbers only: knows no scores.

    num_wins      items on which only the one model is right
    num_losses    items on which only the other is
    n             all items

Given the changed items, wins are Binomial(wins + losses, 1/2) where neither model is better. The exact p counts the
observed split in full and rejects too rarely; the mid-p counts half of it (Fagerland, Lydersen & Laake 2013).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from ft_eval.stats.estimate import CONFIDENCE, normal_quantile


def mid_p_values(num_wins: ArrayLike, num_losses: ArrayLike) -> NDArray[np.float64]:
    """Two-sided mid-p of McNemar's test for arrays of counts of any one shape."""
    wins, losses = np.asarray(num_wins), np.asarray(num_losses)
    changed, smaller = wins + losses, np.minimum(wins, losses)
    twice = 2.0 * stats.binom.cdf(smaller, changed, 0.5) - stats.binom.pmf(smaller, changed, 0.5)
    return np.asarray(np.minimum(1.0, twice), dtype=np.float64)


def mcnemar_mid_p(num_wins: int, num_losses: int) -> float:
    """Two-sided mid-p of McNemar's test: the exact p less the probability of the observed split.

    As many wins as losses give 1, and so does no discordant item at all.
    """
    return float(mid_p_values(num_wins, num_losses))


def mcnemar_exact_p(num_wins: int, num_losses: int) -> float:
    """Two-sided exact p of McNemar's test: a binomial test of the discordant items against one half."""
    return min(1.0, 2.0 * float(stats.binom.cdf(min(num_wins, num_losses), num_wins + num_losses, 0.5)))


def largest_rejected(num_changed: ArrayLike, alpha: float) -> NDArray[np.int64]:
    """The largest number of the rarer side that the mid-p rejects at `alpha` among that many changed items; -1 if none.

    The mid-p of s is F(s) + F(s − 1), so it's the alpha / 2 quantile of Binomial(m, 1/2) or the count below it.
    """
    changed = np.asarray(num_changed, dtype=np.int64)
    quantile = np.asarray(stats.binom.ppf(alpha / 2, changed, 0.5)).astype(np.int64)
    both = stats.binom.cdf(quantile, changed, 0.5) + stats.binom.cdf(quantile - 1, changed, 0.5)
    return np.asarray(np.where(both < alpha, quantile, quantile - 1), dtype=np.int64)


def paired_score_interval(
    num_wins: int, num_losses: int, n: int, *, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Score interval for a difference of paired proportions, inside [-1, 1] (Tango 1998, Stat. Med. 17:891).

    Unlike the Wald interval it keeps its width when no item is discordant.

    Raises:
        ValueError: n = 0, a negative count, or more discordant items than items.
    """
    if n < 1 or min(num_wins, num_losses) < 0 or num_wins + num_losses > n:
        raise ValueError(f"expected counts of n >= 1 items, got {num_wins} wins and {num_losses} losses of {n}")
    z = normal_quantile(confidence)
    high = _upper_score_limit(num_wins, num_losses, n, z)
    low = -_upper_score_limit(num_losses, num_wins, n, z)
    return low, high


def score_equivalence_p(num_wins: int, num_losses: int, n: int, margin: float) -> float:
    """The larger p of the two one-sided score tests against ±margin (Nam 1997, Biometrics 53:1422).

    Below 0.05 where the 90 % score interval lies inside the margin, up to rounding.

    Raises:
        ValueError: not 0 < margin < 1.
    """
    if not 0.0 < margin < 1.0:
        raise ValueError(f"expected a margin between 0 and 1 for 0/1 scores, got {margin}")
    below_high = score_distance(num_wins, num_losses, n, margin)
    above_low = score_distance(num_losses, num_wins, n, margin)
    return float(stats.norm.sf(min(below_high, above_low)))


def score_distance(num_wins: int, num_losses: int, n: int, delta: float) -> float:
    """(delta - observed) over its standard error at the likelihood's maximum under `delta`, |delta| < 1."""
    b = (2 * n - num_wins + num_losses) * delta - num_wins - num_losses
    c = -num_losses * delta * (1.0 - delta)
    q = (math.sqrt(max(0.0, b * b - 8.0 * n * c)) - b) / (4.0 * n)
    variance = n * (2.0 * q + delta * (1.0 - delta))
    return (n * delta - (num_wins - num_losses)) / math.sqrt(variance)


def _upper_score_limit(num_wins: int, num_losses: int, n: int, z: float) -> float:
    """The largest delta in [d, 1] that the score test does not reject, d the observed difference."""
    observed = (num_wins - num_losses) / n
    if observed == 1.0:
        return 1.0

    def excess(delta: float) -> float:
        return score_distance(num_wins, num_losses, n, delta) - z

    step = 1e-12
    return float(optimize.brentq(excess, observed + step * max(1.0, 1.0 - observed), 1.0 - step, xtol=1e-13))
