"""The score records as CSV, Parquet, Markdown, LaTeX and JSON. Every format says the same numbers.

CSV, Parquet and JSON hold every metric as fractions, Markdown and LaTeX the primary metrics in points. Names come
from users and tasks: each format escapes them in its own way.
"""

import json
import math
from dataclasses import asdict, astuple, dataclass

from ft_eval.report.escapes import md, md_row, plain, tex_row
from ft_eval.report.formats import NONE, interval, one_line, p_value, score, signed
from ft_eval.report.record_files import csv_text, parquet_bytes
from ft_eval.report.scores import ScoreRecord, score_records, scores_frame
from ft_eval.report.section_exports import markdown_sections
from ft_eval.report.section_records import section_records
from ft_eval.report.tables import Panel, Report, Unit, UsageRow
from ft_eval.report.text import detectable_text, gain_text, items_text, split_text
from ft_eval.report.verdicts import Pooled

FORMAT_VERSION = 2


def to_json(report: Report) -> str:
    """The records as JSON, with what a reader of the file alone must know; nan becomes null."""
    content = {
        "format_version": FORMAT_VERSION,
        "title": report.title,
        "created_at": report.created_at,
        "run_ids": [run.run_id for run in report.runs],
        "stamps": list(report.stamps),
        "summary": [report.summary.headline, *report.summary.lines],
        "notes": list(report.notes),
        "primary": list(report.terms.primary),
        "margin_points": plain(report.terms.margin_points),
        "pooled": [_pooled(panel, one) for panel in report.panels for one in panel.pooled],
        "missing": list(report.missing),
        "latents": [_latent(row) for row in report.usages],
        "attributions": [
            {"checkpoint": table.name, "task": arms.row.name, "sentences": list(arms.sentences)}
            for panel in report.panels
            for table in panel.arms
            for arms in table.rows
        ],
        "sections": [
            {name: plain(one_line(value) if isinstance(value, str) else value) for name, value in asdict(r).items()}
            for r in section_records(report)
        ],
        "scores": [{name: plain(value) for name, value in asdict(r).items()} for r in score_records(report)],
    }
    return json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _pooled(panel: Panel, pooled: Pooled) -> dict[str, object]:
    """One candidate over all primary tasks, as fractions; better is above 0."""
    effect, decision = pooled.effect.effect, pooled.decision
    numbers = {
        "difference": effect.mean,
        "difference_low": effect.low,
        "difference_high": effect.high,
        "p_value": pooled.effect.p_value,
        "p_corrected": math.nan if decision is None else decision.p_value,
        "spread": pooled.effect.spread,
        "p_heterogeneity": pooled.effect.p_heterogeneity,
    }
    return {
        "latent": pooled.label,
        "baseline": panel.baseline.label if panel.baseline else "",
        "tasks": list(panel.family.tasks),
        "num_tasks": pooled.num_tasks,
        "num_tests": panel.family.num_tests,
        **{name: plain(value) for name, value in numbers.items()},
        "verdict": None if decision is None else decision.verdict.value,
    }


def _latent(row: UsageRow) -> dict[str, object]:
    """Whether one latent checkpoint's Z is used."""
    usage = row.usage
    return {
        "checkpoint": row.name,
        "latents": [contender.label for contender in row.contenders],
        "kappa_bits": plain(row.contenders[0].checkpoint.kappa_bits),
        "latent_policies": list(row.policies),
        "kl_bits": None if usage is None else plain(usage.kl_bits),
        "information_bits": None if usage is None else plain(usage.information_bits),
        "num_prompts": 0 if usage is None else usage.num_prompts,
        "num_tokens": 0 if usage is None else usage.num_tokens,
        "tasks": list(row.tasks),
        "collapsed_tasks": list(row.collapsed_tasks),
        "collapsed": row.alarm.value,
    }


def to_csv(report: Report) -> str:
    """The records as CSV, one line each; an empty field is a number that is not there."""
    return csv_text(ScoreRecord, score_records(report))


def to_parquet(report: Report) -> bytes:
    """The records as Parquet, one row each, columns as in CSV; a number that is not there is null."""
    return parquet_bytes(scores_frame(report))


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRow:
    """One record as the words and numbers of a paper's table, unescaped."""

    task: str
    metric: str
    latent: str
    num_items: str
    baseline_score: str
    latent_score: str
    difference: str
    interval: str
    relative_gain: str
    smallest_detectable: str
    split: str
    p_value: str
    p_corrected: str
    verdict: str


_HEADINGS = (
    "Task", "Metric", "Latent", "Items", "Baseline", "Latent score", "Difference", "95 % interval", "Relative gain",
    "Smallest detectable", "Better/worse/equal", "p", "p corrected", "Verdict",
)  # fmt: skip


def paper_rows(report: Report) -> tuple[PaperRow, ...]:
    """The primary metrics as a table to be typeset; tasks of a group are left to the group."""
    return tuple(_paper_row(r) for r in score_records(report) if r.is_primary and r.kind != "subtask")


def _paper_row(record: ScoreRecord) -> PaperRow:
    unit = Unit(record.unit)
    return PaperRow(
        task=record.task,
        metric=record.metric,
        latent=record.latent or NONE,
        num_items=items_text(record),
        baseline_score=_with_stderr(record.baseline_score, record.baseline_stderr, unit),
        latent_score=_with_stderr(record.latent_score, record.latent_stderr, unit),
        difference=signed(record.difference, unit),
        interval=interval(record.difference_low, record.difference_high, unit),
        relative_gain=gain_text(record),
        smallest_detectable=detectable_text(record),
        split=split_text(record),
        p_value=f"{p_value(record.p_value)} ({record.test})" if record.test else NONE,
        p_corrected=f"{p_value(record.p_corrected)} ({record.correction})" if record.correction else NONE,
        verdict=record.verdict or record.why_empty,
    )


def _with_stderr(mean: float, stderr: float, unit: Unit) -> str:
    return score(mean, unit) if math.isnan(stderr) else f"{score(mean, unit)} ± {score(stderr, unit)}"


def to_markdown(report: Report) -> str:
    """The primary metrics as a Markdown table under the summary."""
    lines = [f"# {md(report.title)}", "", md(report.summary.headline), ""]
    lines += [f"- {md(line)}" for line in (*report.stamps, *report.notes, *report.summary.lines)]
    lines += ["", md_row(_HEADINGS), md_row(["---"] * len(_HEADINGS))]
    lines += [md_row([md(text) for text in astuple(row)]) for row in paper_rows(report)]
    for table in (table for panel in report.panels for table in panel.arms):
        lines += ["", f"## {md(table.name)}: what remains with Z zeroed", ""]
        lines += [f"- {md(arms.row.name)}: {md(sentence)}" for arms in table.rows for sentence in arms.sentences]
    lines += markdown_sections(report)
    return "\n".join(lines) + "\n"


def to_latex(report: Report) -> str:
    """The primary metrics as a table for the booktabs package, without a preamble."""
    columns = "lll" + "r" * (len(_HEADINGS) - 4) + "l"
    lines = [f"% {one_line(report.title)}: {stamp}" for stamp in report.stamps]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", tex_row(_HEADINGS), r"\midrule"]
    lines += [tex_row(astuple(row)) for row in paper_rows(report)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"
