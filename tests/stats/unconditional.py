"""Another test of two paired proportions: exact without conditioning on the number of changed items.

Suissa & Shuster (1985): reject where |wins − losses| / √(wins + losses) is above the least bound whose chance stays
below the level for every discordance. Kept beside mid-p McNemar to see what it would gain; no verdict uses it.
"""

from collections.abc import Sequence

import numpy as np
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
