"""The checkpoints of one training: curves along it, and the average over its last third beside its baseline's.

Which training a checkpoint belongs to is what checkpoints.toml says (`training_run`). Reads no samples: scores are
looked up in the panels' rows, and item scores in what the catalog kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ft_eval.records import Arm, LatentPolicy
from ft_eval.report.catalog import Catalog, policy_text
from ft_eval.report.compare import Question, compare_pairs, mean_chance
from ft_eval.report.evidence import Pairs
from ft_eval.report.judge import settle
from ft_eval.report.sections import Curve, CurveChart, CurvePoint, LastThird
from ft_eval.report.shared_items import align, scores_by_row, tasks_of
from ft_eval.report.tables import Contender, Panel, RowKind, TaskRow
from ft_eval.report.verdicts import Terms
from ft_eval.stats import Estimate, item_means, last_third


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The contenders that are checkpoints of one training, under one source of Z and one seed, in order."""

    label: str
    arm: Arm
    points: tuple[Contender, ...]
    positions: tuple[float, ...]
    axis: str


def find_trainings(contenders: Sequence[Contender]) -> tuple[Training, ...]:
    """The contenders of each training that say where in it they are; trainings with one checkpoint too."""
    placed = [c for c in contenders if c.checkpoint.training_run and _has_position(c)]
    axis = "training tokens" if all(c.checkpoint.training_tokens for c in placed) else "steps"
    placed = [c for c in placed if axis == "training tokens" or c.checkpoint.step]
    keys = list(dict.fromkeys(map(_training_key, placed)))
    trainings = []
    for key in keys:
        own = sorted((c for c in placed if _training_key(c) == key), key=lambda c: _position(c, axis))
        trainings.append(
            Training(
                label=" ".join([str(key[0]), *_what_tells_apart(key, keys)]),
                arm=own[0].checkpoint.arm,
                points=tuple(own),
                positions=tuple(_position(c, axis) for c in own),
                axis=axis,
            )
        )
    return tuple(trainings)


def in_last_third(training: Training) -> tuple[Contender, ...]:
    """The checkpoints after two thirds of it."""
    return tuple(training.points[place] for place in last_third(training.positions))


def make_curves(catalog: Catalog, panels: Sequence[Panel]) -> tuple[CurveChart, ...]:
    """One chart per row, with each training that has two checkpoints or more."""
    trainings = [training for training in find_trainings(catalog.contenders) if len(training.points) > 1]
    if not trainings:
        return ()
    scores, rows = scores_by_row(panels)
    charts = []
    for row in rows.values():
        curves = [
            Curve(label=training.label, arm=training.arm, points=tuple(points))
            for training in trainings
            if len(points := _points(training, row.name, scores)) > 1
        ]
        if curves:
            metric = row.primary
            axis = trainings[0].axis
            chart = CurveChart(task=row.name, metric=metric.metric, unit=metric.unit, axis=axis, curves=tuple(curves))
            charts.append(chart)
    return tuple(charts)


def make_last_thirds(catalog: Catalog, panels: Sequence[Panel]) -> tuple[LastThird, ...]:
    """Each latent training against its baseline's, where either has two checkpoints or more in its last third."""
    trainings = find_trainings(catalog.contenders)
    owner = {point.checkpoint.name: training for training in trainings for point in training.points}
    _, rows = scores_by_row(panels)
    found = []
    for latent in trainings:
        base = owner.get(latent.points[-1].checkpoint.baseline or "")
        if latent.arm is not Arm.LATENT or base is None:
            continue
        if max(len(in_last_third(training)) for training in (base, latent)) < 2:
            continue
        found += [
            one
            for row in rows.values()
            if row.kind is not RowKind.SUBTASK and (one := _last_third(catalog, row, base, latent))
        ]
    return tuple(found)


def _has_position(contender: Contender) -> bool:
    return bool(contender.checkpoint.training_tokens or contender.checkpoint.step)


def _position(contender: Contender, axis: str) -> float:
    checkpoint = contender.checkpoint
    return float((checkpoint.training_tokens if axis == "training tokens" else checkpoint.step) or 0)


_TrainingKey = tuple[str | None, int | None, str, LatentPolicy | None, int]


def _training_key(contender: Contender) -> _TrainingKey:
    own = contender.checkpoint
    return own.training_run, own.training_seed, own.dtype, contender.latents, contender.seed


def _what_tells_apart(key: _TrainingKey, keys: Sequence[_TrainingKey]) -> list[str]:
    others = [other for other in keys if other[0] == key[0]]
    words = (f"training {key[1]}", key[2], policy_text(key[3]), f"seed {key[4]}")
    return [word for place, word in enumerate(words, start=1) if len({other[place] for other in others}) > 1]


def _points(training: Training, row: str, scores: dict[tuple[str, str], Estimate]) -> list[CurvePoint]:
    places = zip(training.points, training.positions, strict=True)
    return [
        CurvePoint(label=point.label, position=position, score=score)
        for point, position in places
        if (score := scores.get((row, point.label)))
    ]


def _last_third(catalog: Catalog, row: TaskRow, base: Training, latent: Training) -> LastThird | None:
    tasks, is_micro = tasks_of(catalog, row)
    averaged = [_average(catalog, task, base, latent) for task in tasks]
    metric = row.primary
    question = Question(
        metric=metric.metric, is_primary=True, higher_is_better=metric.higher_is_better, weight_by_size=is_micro
    )
    chance = mean_chance(metric.metric, [one[1] for one in averaged if one is not None])
    strata = [None if one is None else one[0] for one in averaged]
    held = None if None in strata else compare_pairs(question, strata, chance)
    if held is None:
        return None
    return LastThird(
        task=row.name,
        metric=metric.metric,
        unit=metric.unit,
        baseline=base.label,
        latent=latent.label,
        num_baseline_checkpoints=len(in_last_third(base)),
        num_latent_checkpoints=len(in_last_third(latent)),
        # averages of checkpoints are no single score, so that rerunning one says nothing about them
        comparison=settle(held, None, replace(metric, noise_floor=None), Terms()),
    )


def _average(catalog: Catalog, task: str, base: Training, latent: Training) -> tuple[Pairs, float] | None:
    """Each item's mean over the checkpoints of either's last third, as pairs, and the score of guessing."""
    sides = [in_last_third(base), in_last_third(latent)]
    found = align([catalog.shelf.get((point.label, task)) for side in sides for point in side])
    if found is None:
        return None
    means = [item_means(scores) for scores in found.scores]
    split, numbers = len(sides[0]), np.arange(means[0].size, dtype=np.int64)
    pairs = Pairs(
        baseline=np.mean(means[:split], axis=0),
        latent=np.mean(means[split:], axis=0),
        baseline_ids=numbers,
        latent_ids=numbers,
        clusters=found.clusters,
    )
    return pairs, found.chance
