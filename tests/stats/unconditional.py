"""Another test of two paired proportions: exact without conditioning on the number of changed items.

Suissa & Shuster (1985): reject where |wins − losses| / √(wins + losses) is above the least bound whose chance stays
below the level for every discordance. Kept beside mid-p McNemar to see what it would gain; no verdict uses it. The most
that any test of this kind can reach with few changed items is `largest_level`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.05
_MOST_CHANGED = 0.5
"""The largest discordance that is looked at: above it every test of this kind has its level."""


def unconditional_levels(n: int, discordances: Sequence[float]) -> list[float]:
    """The test's level at some discordances, summed over every table."""
    largest = min(n, round(_MOST_CHANGED * n) + 4 * round(n**0.5))
    changed, wins = (axis.ravel() for axis in np.meshgrid(*[np.arange(largest + 1)] * 2, indexing="ij"))
    changed, wins = changed[wins <= changed], wins[wins <= changed]
    distance = np.abs(2 * wins - changed) / np.sqrt(np.maximum(1, changed))
    split = stats.binom.pmf(wins, changed, 0.5)
    grid = np.linspace(0.002, _MOST_CHANGED, 400)

    def levels(bound: float, shares: Sequence[float]) -> list[float]:
        rejected = np.bincount(changed, weights=split * (distance >= bound - 1e-9), minlength=largest + 1)
        return [float(stats.binom.pmf(np.arange(largest + 1), n, share) @ rejected) for share in shares]

    bounds = np.unique(np.round(distance[distance > 1.0], 9))
    low, high = 0, len(bounds) - 1
    while low < high:
        middle = (low + high) // 2
        if max(levels(float(bounds[middle]), grid.tolist())) <= LEVEL:
            high = middle
        else:
            low = middle + 1
    return levels(float(bounds[low]), discordances)


def largest_level(n: int, discordance: float, largest: int) -> float:
    """The most that any test without a coin can reach at a discordance and be nowhere above LEVEL.

    The tests looked at: for every number of changed items up to `largest`, reject where the fewer of wins and losses
    are at most some number of its own. More changed items count as always rejected there and never elsewhere, so that
    this is a bound from above.
    """
    changed = np.arange(1, largest + 1)
    rejects = [[0.0, *(2.0 * stats.binom.cdf(np.arange((c + 1) // 2), c, 0.5))] for c in changed]
    anywhere = np.asarray(stats.binom.pmf(changed[:, None], n, np.linspace(0.2, 1.3 * largest, 120)[None] / n))
    here = np.asarray(stats.binom.pmf(changed, n, discordance))
    best = 0.0

    def search(place: int, level: float, levels: NDArray[np.float64]) -> None:
        nonlocal best
        best = max(best, level)
        if place == largest or level + here[place:].sum() <= best:
            return
        for share in rejects[place]:
            more = levels + anywhere[place] * share
            if more.max() <= LEVEL:
                search(place + 1, level + float(here[place]) * share, more)

    search(0, 0.0, np.zeros(anywhere.shape[1]))
    return best + float(stats.binom.sf(largest, n, discordance))
