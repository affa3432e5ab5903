"""How far apart two runs of one and the same model come out: what a difference must exceed to be spoken of.

The two runs differ in what should not matter (seed, batch, order, device). Their difference has mean 0 by construction,
so its spread is taken about 0. Numbers only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ft_eval.stats.estimate import Estimate, item_means, normal_quantile, t_estimate, undefined_estimate
from ft_eval.stats.macro import macro_estimate
from ft_eval.stats.paired import paired_differences


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """What rerunning alone does to a score."""

    difference: Estimate
    """Second run minus first; its interval misses 0 in one of twenty honest reruns."""
    num_changed: int
    """Items whose score changed."""
    n: int
    stderr: float
    """Of a difference between two reruns: sqrt(sum of squared item differences) / n."""
    percentile_95: float
    """The |difference| that reruns stay below 95 times in 100; 0 where nothing changed."""

    @property
    def share_changed(self) -> float:
        """Share of items whose score changed; nan without items."""
        return self.num_changed / self.n if self.n else math.nan


def noise_floor(first: ArrayLike, second: ArrayLike) -> NoiseFloor:
    """Summarise two runs of the baseline on the same items, each of shape (n,) or (n, K).

    Raises:
        ValueError: shapes that do not fit, a score that is not finite.
    """
    changes = paired_differences(item_means(first), item_means(second))
    n = changes.size
    stderr = math.sqrt(float(np.square(changes).sum())) / n if n else math.nan
    return NoiseFloor(
        difference=t_estimate(changes) if n else undefined_estimate("no pair of scored items"),
        num_changed=int(np.count_nonzero(changes)),
        n=n,
        stderr=stderr,
        percentile_95=normal_quantile() * stderr,
    )


def macro_noise_floor(floors: Sequence[NoiseFloor]) -> NoiseFloor:
    """Of the plain mean over tasks: their errors added as independent.

    Raises:
        ValueError: there is no task.
    """
    if not floors:
        raise ValueError("expected the noise floors of one task or more, got none")
    stderr = math.sqrt(sum(floor.stderr**2 for floor in floors)) / len(floors)
    return NoiseFloor(
        difference=macro_estimate([floor.difference for floor in floors]),
        num_changed=sum(floor.num_changed for floor in floors),
        n=sum(floor.n for floor in floors),
        stderr=stderr,
        percentile_95=normal_quantile() * stderr,
    )
