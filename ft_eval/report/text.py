"""The table of primary metrics for a terminal, as plain data: the CLI chooses columns and colours.

Every field is one line of visible characters; brackets stay, so a markup console must escape them.
"""

from dataclasses import dataclass

from ft_eval.report.formats import NONE, count, interval, one_line, p_value, percent, score, signed
from ft_eval.report.scores import ScoreRecord, score_records
from ft_eval.report.tables import Report, RowKind, Unit, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """One primary metric for one latent checkpoint, formatted."""

    task: str
    kind: RowKind
    """SUBTASK rows follow their GROUP row; a short table leaves them out."""
    metric: str
    num_items: str
    baseline: str
    """The baseline's label; empty where there is none."""
    latent: str
    baseline_score: str
    latent_score: str
    difference: str
    interval: str
    relative_gain: str
    p_value: str
    test: str
    verdict: Verdict | None
    """None where there is no comparison; `remark` says why."""
    remark: str


def summary_rows(report: Report) -> tuple[SummaryRow, ...]:
    """The primary metrics in the report's order."""
    return tuple(_summary_row(record) for record in score_records(report) if record.is_primary)


def _summary_row(record: ScoreRecord) -> SummaryRow:
    unit = Unit(record.unit)
    gain = percent(record.relative_gain_percent)
    return SummaryRow(
        task=one_line(record.task),
        kind=RowKind(record.kind),
        metric=one_line(record.metric),
        num_items=count(record.num_items),
        baseline=one_line(record.baseline),
        latent=one_line(record.latent),
        baseline_score=score(record.baseline_score, unit),
        latent_score=score(record.latent_score, unit),
        difference=signed(record.difference, unit),
        interval=interval(record.difference_low, record.difference_high, unit),
        relative_gain=f"undefined ({record.relative_gain_reason})" if record.relative_gain_reason else gain,
        p_value=p_value(record.p_value),
        test=record.test or NONE,
        verdict=Verdict(record.verdict) if record.verdict else None,
        remark=one_line(record.why_empty or record.notes),
    )
