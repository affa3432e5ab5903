"""Scores across panels: who scored what on a row, and several contenders' scores on the items that all have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ft_eval.report.catalog import Catalog, ItemScores
from ft_eval.report.tables import Panel, RowKind, TaskRow
from ft_eval.stats import Estimate


def scores_by_row(panels: Sequence[Panel]) -> tuple[dict[tuple[str, str], Estimate], dict[str, TaskRow]]:
    """All contenders' primary scores by (row, contender), and each row once."""
    scores: dict[tuple[str, str], Estimate] = {}
    rows: dict[str, TaskRow] = {}
    for panel in panels:
        for row in panel.rows:
            rows.setdefault(row.name, row)
            labelled = [(cell.label, cell.score) for cell in row.primary.cells]
            labelled += [(panel.baseline.label, row.primary.baseline)] if panel.baseline else []
            scores.update({(row.name, label): score for label, score in labelled if score is not None})
    return scores, rows


def tasks_of(catalog: Catalog, row: TaskRow) -> tuple[tuple[str, ...], bool]:
    """The labels of the tasks behind a row, and whether they make one heap (micro)."""
    group = next((group for group in catalog.groups if group.name == row.name), None)
    if group is None or row.kind is not RowKind.GROUP:
        return (row.name,), True
    return tuple(task for task in group.tasks if task in catalog.tasks), group.weight_by_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """Several contenders' scores on the items that all of them have, in one order."""

    scores: tuple[NDArray[np.float64], ...]
    """One per contender, (n,) or (n, K)."""
    clusters: NDArray[np.uint64] | None
    chance: float


def align(kept: Sequence[ItemScores | None]) -> Aligned | None:
    """Bring item scores into one order; None where somebody has none, or no item is shared by all."""
    held = [one for one in kept if one is not None]
    if not held or len(held) < len(kept):
        return None
    shared = np.unique(held[0].keys)
    for one in held[1:]:
        shared = np.intersect1d(shared, one.keys)
    places = [_places(one, shared) for one in held]
    if not shared.size:
        return None
    first = held[0]
    return Aligned(
        scores=tuple(one.scores[place] for one, place in zip(held, places, strict=True)),
        clusters=None if first.clusters is None else first.clusters[places[0]],
        chance=max(one.chance for one in held),
    )


def _places(one: ItemScores, shared: NDArray[np.uint64]) -> NDArray[np.intp]:
    order = np.argsort(one.keys, kind="stable")
    return order[np.searchsorted(one.keys[order], shared)]
