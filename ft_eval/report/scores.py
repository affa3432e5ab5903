"""The report's scores as flat typed records: the one source of every table, export and terminal line.

Scores and differences are fractions here (`unit` says whether a table shows them times 100).
"""

import math
from dataclasses import asdict, dataclass, fields, replace

import pandas as pd

from ft_eval.report.catalog import policy_text
from ft_eval.report.formats import one_line
from ft_eval.report.tables import Cell, MetricRow, Panel, Report, TaskRow
from ft_eval.report.verdicts import Comparison
from ft_eval.stats import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRecord:
    """One metric of one task or group for one latent checkpoint and its baseline. A number that is not there is nan."""

    task: str
    kind: str
    """task, group or subtask."""
    group: str
    metric: str
    is_primary: bool
    unit: str
    """points: shown times 100; raw: shown as it is."""
    higher_is_better: bool
    num_fewshot: int | None
    limit: int | None
    baseline: str
    """Empty where there is none."""
    latent: str
    kappa_bits: float | None
    latent_policy: str
    num_pairs: int
    """Items that both were scored on; 0 without a comparison, and in one of two samples."""
    num_items: int
    """Items behind the scores where there is no comparison; else equal to `num_pairs`, or of both samples together."""
    is_unpaired: bool = False
    """Whether the two are compared as samples of their own items, since these don't pair."""
    baseline_score: float = math.nan
    """Over the pairs where there is a comparison, over all scored items otherwise; so is `latent_score`."""
    baseline_stderr: float = math.nan
    latent_score: float = math.nan
    latent_stderr: float = math.nan
    difference: float = math.nan
    """Latent minus baseline."""
    difference_stderr: float = math.nan
    difference_low: float = math.nan
    difference_high: float = math.nan
    interval_method: str = ""
    relative_gain_percent: float = math.nan
    relative_gain_reason: str = ""
    """Why there is no gain, though there is a difference."""
    relative_gain_low_percent: float = math.nan
    relative_gain_high_percent: float = math.nan
    gain_method: str = ""
    smallest_detectable: float = math.nan
    """The difference that is found with 80 % power at `level`; not signed."""
    smallest_detectable_percent: float = math.nan
    """The same relative to the baseline."""
    level: float = math.nan
    """The level that the correction leaves to one test in the worst case."""
    num_baseline_draws: int = 1
    """Draws per item that were averaged."""
    num_latent_draws: int = 1
    num_clusters: int | None = None
    p_value: float = math.nan
    """Of the test alone."""
    p_exact: float = math.nan
    p_permutation: float = math.nan
    p_corrected: float = math.nan
    """The one that decides."""
    correction: str = ""
    """Empty where there is none."""
    test: str = ""
    num_wins: int = 0
    num_losses: int = 0
    num_ties: int = 0
    verdict: str = ""
    verdict_reason: str = ""
    is_in_family: bool = False
    """Whether the verdict sentence counts it: a candidate on a primary task."""
    num_zero_pairs: int = 0
    """Items that this arm and the same checkpoint's with Z zeroed were both scored on."""
    difference_to_zero: float = math.nan
    """This arm minus the one with Z zeroed."""
    difference_to_zero_low: float = math.nan
    difference_to_zero_high: float = math.nan
    p_value_to_zero: float = math.nan
    p_corrected_to_zero: float = math.nan
    verdict_to_zero: str = ""
    why_empty: str = ""
    """Why there is no score or no comparison."""
    notes: str = ""


def score_records(report: Report) -> tuple[ScoreRecord, ...]:
    """All metrics of all rows, primary ones first within a task, in the report's order."""
    return tuple(
        _record(panel, row, metric, place)
        for panel in report.panels
        for row in panel.rows
        for metric in row.metrics
        for place in range(max(1, len(metric.cells)))
    )


def scores_frame(report: Report) -> pd.DataFrame:
    """`score_records` as a tidy frame, one row per record, columns in the record's order, texts made visible."""
    names = [field.name for field in fields(ScoreRecord)]
    rows = [[one_line(v) if isinstance(v, str) else v for v in asdict(r).values()] for r in score_records(report)]
    return pd.DataFrame(rows, columns=names)


def _record(panel: Panel, row: TaskRow, metric: MetricRow, place: int) -> ScoreRecord:
    cell = metric.cells[place] if metric.cells else Cell(label="", score=None, comparison=None)
    latent = panel.latents[place] if panel.latents else None
    record = ScoreRecord(
        task=row.name,
        kind=row.kind.value,
        group=row.group,
        metric=metric.metric,
        is_primary=metric.is_primary,
        unit=metric.unit.value,
        higher_is_better=metric.higher_is_better,
        num_fewshot=row.num_fewshot,
        limit=row.limit,
        baseline=panel.baseline.label if panel.baseline else "",
        latent=cell.label,
        kappa_bits=latent.checkpoint.kappa_bits if latent else None,
        latent_policy=policy_text(latent.latents) if latent else "",
        num_pairs=0,
        num_items=max((estimate.n for estimate in (metric.baseline, cell.score) if estimate), default=0),
        why_empty=cell.why_empty if latent else "no latent checkpoint beside it",
        notes="; ".join(row.notes),
        is_in_family=metric.is_primary and row.name in panel.family.tasks and cell.label in panel.family.candidates,
    )
    record = _with_scores(record, metric.baseline, cell.score)
    if cell.to_zero is not None:
        record = _with_zero(record, cell.to_zero)
    return record if cell.comparison is None else _with_comparison(record, cell.comparison)


def _with_scores(record: ScoreRecord, baseline: Estimate | None, latent: Estimate | None) -> ScoreRecord:
    if baseline is not None:
        record = replace(record, baseline_score=baseline.mean, baseline_stderr=baseline.stderr)
    if latent is not None:
        record = replace(record, latent_score=latent.mean, latent_stderr=latent.stderr)
    return record


def _with_zero(record: ScoreRecord, comparison: Comparison) -> ScoreRecord:
    paired, difference = comparison.paired, comparison.paired.difference
    return replace(
        record,
        num_zero_pairs=difference.n,
        difference_to_zero=difference.mean,
        difference_to_zero_low=difference.low,
        difference_to_zero_high=difference.high,
        p_value_to_zero=paired.p_value,
        p_corrected_to_zero=comparison.p_corrected,
        verdict_to_zero=comparison.verdict.value,
    )


def _with_comparison(record: ScoreRecord, comparison: Comparison) -> ScoreRecord:
    paired, difference = comparison.paired, comparison.paired.difference
    record = _with_power(_with_scores(record, comparison.baseline, comparison.latent), comparison)
    return replace(
        record,
        num_pairs=0 if paired.is_unpaired else difference.n,
        is_unpaired=paired.is_unpaired,
        num_items=difference.n,
        difference=difference.mean,
        difference_stderr=difference.stderr,
        difference_low=difference.low,
        difference_high=difference.high,
        interval_method=difference.method,
        relative_gain_percent=comparison.gain.percent,
        relative_gain_reason=comparison.gain.reason,
        relative_gain_low_percent=comparison.gain.low,
        relative_gain_high_percent=comparison.gain.high,
        gain_method="" if comparison.gain.reason else comparison.gain.method,
        p_value=paired.p_value,
        p_exact=math.nan if paired.p_exact is None else paired.p_exact,
        p_permutation=math.nan if paired.p_permutation is None else paired.p_permutation,
        p_corrected=comparison.p_corrected,
        correction=comparison.correction,
        test=paired.test,
        num_wins=paired.num_wins,
        num_losses=paired.num_losses,
        num_ties=paired.num_ties,
        verdict=comparison.verdict.value,
        verdict_reason=comparison.reason,
    )


def _with_power(record: ScoreRecord, comparison: Comparison) -> ScoreRecord:
    paired, found = comparison.paired, comparison.detectable
    record = replace(
        record,
        num_baseline_draws=paired.num_baseline_draws,
        num_latent_draws=paired.num_latent_draws,
        num_clusters=paired.num_clusters,
    )
    if found is None:
        return record
    return replace(
        record,
        smallest_detectable=found.difference,
        smallest_detectable_percent=found.percent,
        level=found.target.alpha,
    )
