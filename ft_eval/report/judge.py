"""From comparisons to verdicts: corrects p values within families, decides, and says what the run could have seen.

    primary rows × candidates        Holm
    primary rows × control arms      Holm, apart: they are no findings, but their words stand beside the candidates'
    primary rows, arm minus zero     Holm, apart
    the tasks of a group             Benjamini-Hochberg, per latent
    other rows                       Benjamini-Hochberg, per latent
    other metrics of a row           none

Reads no samples.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from numpy.typing import NDArray

from ft_eval.errors import ReportError, did_you_mean
from ft_eval.report.catalog import Matchup, is_control
from ft_eval.report.compare import NO_MEAN
from ft_eval.report.formats import count
from ft_eval.report.gains import why_no_spread
from ft_eval.report.tables import Cell, MetricRow, RowKind, TaskRow, Unit
from ft_eval.report.verdicts import LEVEL, Comparison, Family, Terms
from ft_eval.report.words import comparison_sentence, resolving_sentence
from ft_eval.stats import (
    Criteria,
    DetectableEffect,
    Interval,
    PairedComparison,
    RelativeGain,
    Target,
    benjamini_hochberg,
    decide,
    detectable_after,
    holm,
)

Test = tuple[str, str]
"""(row's name, latent's label). A task of two groups is one test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The p that decides on one comparison, and how it was corrected."""

    p_value: float
    correction: str = ""
    alpha: float = LEVEL
    """The level that the correction leaves to one test in the worst case; LEVEL where it is no family of claims."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rulings:
    to_baseline: Mapping[Test, Ruling]
    to_zero: Mapping[Test, Ruling]


def find_family(rows: Sequence[TaskRow], matchup: Matchup, terms: Terms) -> Family:
    """Which rows and which latents the verdict is about.

    A metric that is no mean over items has no test, whatever its scores, and is in the family only where declared.
    """
    candidates = tuple(latent.label for latent in matchup.latents if not is_control(latent))
    shown = [row for row in rows if row.kind is not RowKind.SUBTASK and not _has_no_test(row)]
    if not terms.primary:
        return Family(tasks=_names(shown), missing=(), candidates=candidates, is_declared=False)
    names = _names(rows)
    return Family(
        tasks=tuple(name for name in names if name in terms.primary),
        missing=tuple(name for name in terms.primary if name not in names),
        candidates=candidates,
        is_declared=True,
    )


def check_terms(terms: Terms, known: Sequence[str]) -> None:
    """Refuse terms that no row of the report meets.

    Raises:
        ReportError: none of the primary tasks is in these runs, or the margin is not above 0.
    """
    if terms.margin_points is not None and not 0.0 < terms.margin_points < 100.0:
        raise ReportError(f"margin {terms.margin_points:g}: expected points above 0 and below 100")
    if terms.primary and not set(terms.primary) & set(known):
        first = terms.primary[0]
        raise ReportError(
            f"no primary task is in these runs: {', '.join(terms.primary)}{did_you_mean(first, known)}; the runs hold "
            f"{', '.join(known)}"
        )


def judge_rows(rows: Sequence[TaskRow], matchup: Matchup, terms: Terms) -> tuple[TaskRow, ...]:
    """The rows with every comparison decided."""
    rulings = _rule(rows, matchup, find_family(rows, matchup, terms))
    return tuple(
        replace(row, metrics=tuple(_judge_metric(row, metric, rulings, terms) for metric in row.metrics))
        for row in rows
    )


def _has_no_test(row: TaskRow) -> bool:
    return any(cell.why_empty == NO_MEAN for cell in row.primary.cells)


def _names(rows: Sequence[TaskRow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.name for row in rows))


def _rule(rows: Sequence[TaskRow], matchup: Matchup, family: Family) -> _Rulings:
    labels = [latent.label for latent in matchup.latents]
    controls = [label for label in labels if label not in family.candidates]
    raw = _p_values(rows, lambda cell: cell.comparison)
    of_candidates = [(name, label) for name in (*family.tasks, *family.missing) for label in family.candidates]
    of_controls = [(name, label) for name in family.tasks for label in controls]
    rulings = _explore(rows, labels, family, raw)
    rulings |= _claim(of_controls, raw, "of control arms") | _claim(of_candidates, raw, "")
    raw_to_zero = _p_values(rows, lambda cell: cell.to_zero)
    of_zero = [test for test in raw_to_zero if test[0] in family.tasks]
    return _Rulings(to_baseline=rulings, to_zero=_claim(of_zero, raw_to_zero, "of Z against zero"))


def _p_values(rows: Sequence[TaskRow], of: Callable[[Cell], Comparison | None]) -> dict[Test, float]:
    cells = [(row.name, cell.label, of(cell)) for row in rows for cell in row.primary.cells]
    return {(name, label): found.paired.p_value for name, label, found in cells if found is not None}


def _claim(tests: Sequence[Test], raw: Mapping[Test, float], what: str) -> dict[Test, Ruling]:
    """Holm over the tests, those that could not be made among them."""
    if not tests:
        return {}
    words = f"Holm over {count(len(tests), 'test')}{what and ' '}{what}" if len(tests) > 1 else ""
    return _corrected(tests, raw, holm, Ruling(p_value=math.nan, correction=words, alpha=LEVEL / len(tests)))


def _explore(
    rows: Sequence[TaskRow], labels: Sequence[str], family: Family, raw: Mapping[Test, float]
) -> dict[Test, Ruling]:
    """Benjamini-Hochberg over what is looked through: each group's tasks, and the rows outside the family."""
    sets: dict[str, list[str]] = {}
    for row in rows:
        if row.name not in family.tasks:
            sets.setdefault(row.group, []).append(row.name)
    rulings: dict[Test, Ruling] = {}
    for group, names in sets.items():
        what = f"{count(len(names), 'task')} of {group}" if group else f"{count(len(names), 'task')} outside the family"
        words = f"Benjamini–Hochberg over {what}" if len(names) > 1 else ""
        for label in labels:
            tests = [(name, label) for name in names]
            found = _corrected(tests, raw, benjamini_hochberg, Ruling(p_value=math.nan, correction=words))
            rulings = found | rulings
    return rulings


def _corrected(
    tests: Sequence[Test],
    raw: Mapping[Test, float],
    correct: Callable[[list[float]], NDArray],  # type: ignore[type-arg] # of float64
    ruling: Ruling,
) -> dict[Test, Ruling]:
    adjusted = correct([raw.get(test, math.nan) for test in tests])
    return {test: replace(ruling, p_value=float(p)) for test, p in zip(tests, adjusted, strict=True)}


def _judge_metric(row: TaskRow, metric: MetricRow, rulings: _Rulings, terms: Terms) -> MetricRow:
    cells = []
    for cell in metric.cells:
        test, ours = (row.name, cell.label), metric.is_primary
        to_baseline = rulings.to_baseline.get(test) if ours else None
        to_zero = rulings.to_zero.get(test) if ours else None
        comparison = cell.comparison and settle(cell.comparison, to_baseline, metric, terms)
        if comparison and ours:
            comparison = _with_power(comparison, to_baseline or Ruling(p_value=math.nan), metric.unit)
        held = cell.to_zero and settle(cell.to_zero, to_zero, replace(metric, noise_floor=None), terms)
        cells.append(replace(cell, comparison=comparison, to_zero=held))
    return replace(metric, cells=tuple(cells))


def settle(comparison: Comparison, ruling: Ruling | None, metric: MetricRow, terms: Terms) -> Comparison:
    """Decide one comparison; without a ruling, by its own p."""
    if metric.unit is Unit.POINTS:
        comparison = replace(comparison, paired=_possible(comparison.paired), gain=_possible_gain(comparison.gain))
    paired = comparison.paired
    ruling = ruling or Ruling(p_value=paired.p_value)
    criteria = Criteria(
        margin=terms.margin if metric.unit is Unit.POINTS else None,
        noise_floor=metric.noise_floor.percentile_95 if metric.noise_floor else 0.0,
        higher_is_better=metric.higher_is_better,
    )
    decision = decide(paired.difference.mean, _inner_interval(comparison), ruling.p_value, criteria)
    settled = replace(
        comparison,
        verdict=decision.verdict,
        reason=decision.reason,
        is_within_margin=decision.is_within_margin,
        p_corrected=ruling.p_value,
        correction=ruling.correction,
    )
    return replace(settled, sentence=comparison_sentence(settled, metric.unit))


def _with_power(comparison: Comparison, ruling: Ruling, unit: Unit) -> Comparison:
    """The same with what it could have seen, and what it would take to tell; both speak in its sentences."""
    comparison = replace(comparison, detectable=_detectable(comparison, ruling.alpha, unit))
    sentence, advice = comparison_sentence(comparison, unit), resolving_sentence(comparison, unit)
    return replace(comparison, sentence=sentence, advice=advice)


def _possible(paired: PairedComparison) -> PairedComparison:
    """The same with intervals that end where differences of scores in [0, 1] do: few clusters give wider ones."""
    inner = paired.interval_90
    return replace(
        paired,
        difference=replace(paired.difference, low=_end(paired.difference.low), high=_end(paired.difference.high)),
        interval_90=inner and replace(inner, low=_end(inner.low), high=_end(inner.high)),
    )


def _possible_gain(gain: RelativeGain) -> RelativeGain:
    """The same with an interval that ends where a score of 0 would be: nothing loses more than all."""
    return gain if math.isnan(gain.low) else replace(gain, low=max(-100.0, gain.low))


def _end(value: float) -> float:
    return value if math.isnan(value) else min(1.0, max(-1.0, value))


def _inner_interval(comparison: Comparison) -> Interval:
    return comparison.paired.interval_90 or Interval(low=math.nan, high=math.nan, confidence=0.9)


def _detectable(comparison: Comparison, alpha: float, unit: Unit) -> DetectableEffect:
    target, paired = Target(alpha=alpha), comparison.paired
    if paired.difference.stderr == 0.0 and paired.has_changes:
        reason, n = why_no_spread(paired), paired.difference.n
        return DetectableEffect(difference=math.nan, n=n, method="none", target=target, reason=reason)
    found = detectable_after(paired, baseline=comparison.baseline.mean, target=target)
    if unit is Unit.POINTS and found.difference > 1.0:
        return replace(found, difference=math.nan, reason=f"{found.n} items are too few for any difference")
    return found
