"""Comparisons of what does not pair: each side's own items, in a heap or one vote per task; only when asked for."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ft_eval.report.gains import unpaired_gain
from ft_eval.report.verdicts import Comparison
from ft_eval.stats import (
    Estimate,
    Independent,
    cluster_estimate,
    compare_independent,
    compare_unpaired,
    macro_estimate,
    mean_estimate,
)

Sides = tuple[Independent, Independent]
"""The baseline's items and the latent's."""


def compare_samples(strata: Sequence[Sides], *, weight_by_size: bool, chance: float) -> Comparison:
    """One comparison of two independent samples.

    Args:
        strata: of each task, at least one.
        weight_by_size: all items in one heap; else one vote per task.
        chance: the score of guessing.
    """
    if weight_by_size or len(strata) == 1:
        baseline, latent = (_merge([sides[place] for sides in strata]) for place in (0, 1))
        paired = compare_unpaired(baseline, latent)
        shown, errors = [_shown(side) for side in (baseline, latent)], [_error(side) for side in (baseline, latent)]
    else:
        errors = shown = [macro_estimate([_error(sides[place]) for sides in strata]) for place in (0, 1)]
        paired = compare_independent(*errors)
    return Comparison(
        baseline=shown[0],
        latent=shown[1],
        paired=paired,
        gain=unpaired_gain(errors[0], errors[1], paired, chance=chance),
    )


def _shown(side: Independent) -> Estimate:
    return mean_estimate(side.scores) if side.clusters is None else _error(side)


def _error(side: Independent) -> Estimate:
    return cluster_estimate(side.scores, side.clusters)


def _merge(sides: Sequence[Independent]) -> Independent:
    """Several tasks' items in one heap; where only some have clusters, an item of the others is its own."""
    scores = np.concatenate([side.scores for side in sides])
    if all(side.clusters is None for side in sides):
        return Independent(scores=scores)
    numbers = [_cluster_numbers(side) for side in sides]
    starts = np.cumsum([0, *(int(own.max(initial=-1)) + 1 for own in numbers)])
    return Independent(
        scores=scores,
        clusters=np.concatenate([own + start for own, start in zip(numbers, starts[:-1], strict=True)]),
    )


def _cluster_numbers(side: Independent) -> NDArray[np.intp]:
    names = np.arange(side.scores.size) if side.clusters is None else side.clusters
    return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.intp)
