"""Each candidate over all primary tasks: the plain mean of their differences, one vote per task."""

import math
from collections.abc import Sequence
from dataclasses import replace

from ft_eval.report.tables import MetricRow, TaskRow, Unit
from ft_eval.report.verdicts import Comparison, Family, Pooled, Terms
from ft_eval.stats import Criteria, Estimate, NoiseFloor, decide, holm, macro_noise_floor, pooled_effect


def make_pooled(rows: Sequence[TaskRow], family: Family, terms: Terms) -> tuple[Pooled, ...]:
    """One per candidate with a comparison in points; p is corrected for the number of candidates."""
    found = {label: _upward_differences(rows, family, label) for label in family.candidates}
    effects = {label: pooled_effect(own) for label, own in found.items() if own}
    p_values = [effects[label].p_value if label in effects else math.nan for label in family.candidates]
    corrected = dict(zip(family.candidates, holm(p_values), strict=True))
    return tuple(
        _pooled(
            Pooled(
                label=label,
                effect=effect,
                decision=None,
                num_tasks=effect.num_tasks,
                num_left_out=_num_compared(rows, family, label) - len(found[label]),
                noise_floor=_noise_floor(rows, family, label),
            ),
            float(corrected[label]),
            terms,
        )
        for label, effect in effects.items()
    )


def primary_comparisons(rows: Sequence[TaskRow], family: Family, label: str) -> tuple[tuple[TaskRow, Comparison], ...]:
    """What a latent has on the primary rows, each task once."""
    found: dict[str, tuple[TaskRow, Comparison]] = {}
    for row in rows:
        for cell in row.primary.cells:
            if cell.label == label and cell.comparison is not None and row.name in family.tasks:
                found.setdefault(row.name, (row, cell.comparison))
    return tuple(found.values())


def _num_compared(rows: Sequence[TaskRow], family: Family, label: str) -> int:
    return len(primary_comparisons(rows, family, label))


def _upward_differences(rows: Sequence[TaskRow], family: Family, label: str) -> list[Estimate]:
    compared = primary_comparisons(rows, family, label)
    return [_upward(held, row.primary) for row, held in compared if row.primary.unit is Unit.POINTS]


def _upward(comparison: Comparison, metric: MetricRow) -> Estimate:
    """The difference with better above 0."""
    difference = comparison.paired.difference
    if metric.higher_is_better:
        return difference
    return replace(difference, mean=-difference.mean, low=-difference.high, high=-difference.low)


def _noise_floor(rows: Sequence[TaskRow], family: Family, label: str) -> NoiseFloor | None:
    """Of the mean over the tasks in points; None where one of them was not run again."""
    metrics = [row.primary for row, _ in primary_comparisons(rows, family, label)]
    floors = [metric.noise_floor for metric in metrics if metric.unit is Unit.POINTS]
    known = [floor for floor in floors if floor is not None]
    return macro_noise_floor(known) if known and len(known) == len(floors) else None


def _pooled(pooled: Pooled, p_corrected: float, terms: Terms) -> Pooled:
    """The same with its verdict; a mean of one task, or one whose standard error is 0 or unknown, gets none."""
    effect, floor = pooled.effect, pooled.noise_floor
    if effect.num_tasks < 2 or not effect.effect.stderr > 0.0:
        return pooled
    criteria = Criteria(margin=terms.margin, noise_floor=floor.percentile_95 if floor else 0.0)
    return replace(pooled, decision=decide(effect.effect.mean, effect.interval_90, p_corrected, criteria))
