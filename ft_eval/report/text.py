"""The table of primary metrics for a terminal, as plain data: the CLI chooses columns and colours.

Every field is one line of visible characters; brackets stay, so a markup console must escape them.
"""

import math
from dataclasses import dataclass

from ft_eval.report.formats import NONE, count, interval, one_line, p_value, percent, score, signed, unsigned
from ft_eval.report.scores import ScoreRecord, score_records
from ft_eval.report.section_words import section_lines
from ft_eval.report.tables import Report, RowKind, Unit
from ft_eval.stats import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """One primary metric for one latent checkpoint, formatted."""

    task: str
    kind: RowKind
    """SUBTASK rows follow their GROUP row; a short table leaves them out."""
    metric: str
    num_items: str
    """With the draws per item where there are several, `164 × 8`."""
    baseline: str
    """The baseline's label; empty where there is none."""
    latent: str
    baseline_score: str
    latent_score: str
    difference: str
    interval: str
    relative_gain: str
    """With its interval, or why it is left out."""
    smallest_detectable: str
    """What would have been found with 80 % power, and the same relative to the baseline."""
    split: str
    """Items better / worse / equal."""
    p_value: str
    """Of the test alone."""
    p_corrected: str
    test: str
    verdict: Verdict | None
    """None where there is no comparison; `remark` says why."""
    remark: str


def summary_rows(report: Report) -> tuple[SummaryRow, ...]:
    """The primary metrics in the report's order."""
    return tuple(_summary_row(record) for record in score_records(report) if record.is_primary)


def summary_lines(report: Report) -> tuple[str, ...]:
    """The verdict sentence, and below it what a reader must know: stamps, notes and the other sentences."""
    rest = (*report.stamps, *report.notes, *report.summary.lines, *section_lines(report))
    return tuple(map(one_line, (report.summary.headline, *rest)))


def _summary_row(record: ScoreRecord) -> SummaryRow:
    unit = Unit(record.unit)
    return SummaryRow(
        task=one_line(record.task),
        kind=RowKind(record.kind),
        metric=one_line(record.metric),
        num_items=items_text(record),
        baseline=one_line(record.baseline),
        latent=one_line(record.latent),
        baseline_score=score(record.baseline_score, unit),
        latent_score=score(record.latent_score, unit),
        difference=signed(record.difference, unit),
        interval=interval(record.difference_low, record.difference_high, unit),
        relative_gain=gain_text(record),
        smallest_detectable=detectable_text(record),
        split=split_text(record),
        p_value=p_value(record.p_value),
        p_corrected=p_value(record.p_corrected),
        test=record.test or NONE,
        verdict=Verdict(record.verdict) if record.verdict else None,
        remark=one_line(record.why_empty or record.notes),
    )


def items_text(record: ScoreRecord) -> str:
    """`164`, or `164 × 8` where several draws per item were averaged."""
    if record.is_unpaired:
        return f"{count(record.num_items)} unpaired"
    draws = max(record.num_baseline_draws, record.num_latent_draws)
    return count(record.num_items) + (f" × {draws}" if draws > 1 else "")


def gain_text(record: ScoreRecord) -> str:
    """`+12.5 % [+1.0 %, +25.2 %]`, or why there is none beside the difference."""
    if record.relative_gain_reason:
        return f"left out ({record.relative_gain_reason})"
    low, high = record.relative_gain_low_percent, record.relative_gain_high_percent
    ends = "" if math.isnan(low) or math.isnan(high) else f" [{percent(low)}, {percent(high)}]"
    return percent(record.relative_gain_percent) + ends


def detectable_text(record: ScoreRecord) -> str:
    """`3.0 (7.5 %)`, in the table's unit."""
    if math.isnan(record.smallest_detectable):
        return NONE
    relative = record.smallest_detectable_percent
    ends = "" if math.isnan(relative) else f" ({percent(relative).removeprefix('+')})"
    return unsigned(record.smallest_detectable, Unit(record.unit)) + ends


def split_text(record: ScoreRecord) -> str:
    """`9/3/152`: items better, worse and equal."""
    return f"{record.num_wins}/{record.num_losses}/{record.num_ties}" if record.num_pairs else NONE
