"""Noise: what rerunning the baseline does, and where the variance of each score comes from.

    Z draws, decoding seeds     draws of one job, jobs of other seeds, the rerun of a baseline: nested in the items
    checkpoints, training runs  those of one training's last third, and trainings of one recipe: crossed with the items

Reads no samples: item scores are those that the catalog kept while samples passed by.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ft_eval.records import Arm
from ft_eval.report.catalog import AGAIN, Catalog
from ft_eval.report.columns import RunReader
from ft_eval.report.sections import NoiseRow, VarianceRow
from ft_eval.report.shared_items import align, scores_by_row, tasks_of
from ft_eval.report.tables import Contender, Panel, RowKind, TaskRow
from ft_eval.report.trainings import Training, find_trainings, in_last_third
from ft_eval.stats import (
    CHECKPOINT,
    DRAW,
    ITEM,
    RUN,
    SEED,
    VarianceSplit,
    item_means,
    split_crossed,
    split_nested,
)


def make_noise_rows(panels: Sequence[Panel], stores: Sequence[RunReader]) -> tuple[NoiseRow, ...]:
    """The primary metrics of all rows whose baseline was run again; tasks of a group stand in their group."""
    jobs = [job for store in stores for job in store.plan.jobs if job.is_rerun]
    seeds = {job.checkpoint.name: job.seed for job in jobs}
    return tuple(
        NoiseRow(
            label=panel.baseline.label,
            task=row.name,
            metric=row.primary.metric,
            unit=row.primary.unit,
            seeds=(panel.baseline.seed, seeds[panel.baseline.checkpoint.name]),
            floor=row.primary.noise_floor,
        )
        for panel in panels
        for row in panel.rows
        if panel.baseline and row.kind is not RowKind.SUBTASK and row.primary.noise_floor
    )


def make_variance_rows(catalog: Catalog, panels: Sequence[Panel]) -> tuple[VarianceRow, ...]:
    """Of every contender with several draws or seeds, and every training with several checkpoints or siblings."""
    _, rows = scores_by_row(panels)
    shown = [row for row in rows.values() if row.kind is not RowKind.SUBTASK]
    trainings = find_trainings(catalog.contenders)
    return tuple(
        found
        for row in shown
        for found in (*_by_draws(catalog, row), *_by_checkpoints(catalog, row, trainings), *_by_runs(catalog, row))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Scores of several contenders of which the variance is asked for, and who they are together."""

    label: str
    members: tuple[str, ...]
    """Labels on the catalog's shelf."""
    note: str


def _by_draws(catalog: Catalog, row: TaskRow) -> Iterator[VarianceRow]:
    """Items, decoding seeds (jobs of other seeds, a rerun) and draws within one job."""
    for one in _seed_groups(catalog):
        stacked = _stack(catalog, row, one.members)
        if stacked is None or len(stacked) < 2 or stacked.shape[1:] == (1, 1):
            continue
        is_latent = any(c.label in one.members and c.checkpoint.arm is Arm.LATENT for c in catalog.contenders)
        names = (ITEM, SEED, DRAW if is_latent else SEED)
        yield _row(row, one, len(stacked), _without_single(split_nested(stacked, names)))


def _seed_groups(catalog: Catalog) -> list[_Asked]:
    """Each checkpoint under one source of Z, with all its seeds."""
    keys = {(c.checkpoint.name, c.checkpoint.dtype, c.latents): c for c in reversed(catalog.contenders)}
    groups = []
    for key in reversed(keys):
        own = [c for c in catalog.contenders if (c.checkpoint.name, c.checkpoint.dtype, c.latents) == key]
        again = [c.label + AGAIN for c in own if any(who == c.label for who, _ in catalog.reruns)]
        is_latent, num_seeds = key[2] is not None, len(own) + len(again)
        note = "a draw has its own Z, and its own sampled tokens where the task samples" if is_latent else ""
        note += ("; " if note else "") + (f"{num_seeds} seeds" if num_seeds > 1 else "")
        groups.append(_Asked(label=own[0].label, members=(*(c.label for c in own), *again), note=note.rstrip("; ")))
    return groups


def _by_checkpoints(catalog: Catalog, row: TaskRow, trainings: Sequence[Training]) -> Iterator[VarianceRow]:
    """The checkpoints of a training's last third, crossed with the items."""
    for training in trainings:
        members = tuple(point.label for point in in_last_third(training))
        if len(members) > 1:
            note = f"{len(members)} checkpoints of the last third of one training"
            asked = _Asked(label=training.label, members=members, note=note)
            yield from _crossed(catalog, row, asked, CHECKPOINT)


def _by_runs(catalog: Catalog, row: TaskRow) -> Iterator[VarianceRow]:
    """Trainings of one recipe that differ in their seed alone, at the same moment, crossed with the items."""
    alike: dict[tuple[object, ...], list[Contender]] = {}
    for c in catalog.contenders:
        own = c.checkpoint
        if own.training_run and own.training_seed is not None:
            key = (own.training_run, own.training_tokens, own.step, own.dtype, c.latents, c.seed)
            alike.setdefault(key, []).append(c)
    for members in alike.values():
        if len({c.checkpoint.training_seed for c in members}) > 1:
            labels = tuple(c.label for c in members)
            note = f"{len(labels)} trainings that differ in their seed"
            asked = _Asked(label=str(members[0].checkpoint.training_run), members=labels, note=note)
            yield from _crossed(catalog, row, asked, RUN)


def _crossed(catalog: Catalog, row: TaskRow, asked: _Asked, name: str) -> Iterator[VarianceRow]:
    stacked = _stack(catalog, row, asked.members)
    if stacked is not None and len(stacked) > 1:
        split = split_crossed(stacked.swapaxes(0, 1), (name, ITEM, DRAW))
        yield _row(row, asked, len(stacked), _without_single(split))


def _stack(catalog: Catalog, row: TaskRow, members: Sequence[str]) -> NDArray[np.float64] | None:
    """Scores (n items, members, K) over the tasks of a row; draws are averaged where not all have as many."""
    parts = []
    for task in tasks_of(catalog, row)[0]:
        found = align([catalog.shelf.get((member, task)) for member in members])
        if found is None:
            return None
        shapes = {scores.shape for scores in found.scores}
        even = found.scores if len(shapes) == 1 else tuple(map(item_means, found.scores))
        parts.append(np.stack(even, axis=1).reshape(len(even[0]), len(members), -1))
    if len({part.shape[2] for part in parts}) > 1:
        parts = [part.mean(axis=2, keepdims=True) for part in parts]
    return np.concatenate(parts) if parts else None


def _row(row: TaskRow, asked: _Asked, num_items: int, split: VarianceSplit) -> VarianceRow:
    return VarianceRow(
        label=asked.label,
        task=row.name,
        metric=row.primary.metric,
        unit=row.primary.unit,
        num_items=num_items,
        split=split,
        note=asked.note,
    )


def _without_single(split: VarianceSplit) -> VarianceSplit:
    """Without the sources of which there was one, whose noise stands in the source before them."""
    return replace(split, components=tuple(one for one in split.components if not math.isnan(one.raw)))
