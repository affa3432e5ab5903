"""The sections beside the tables as flat typed records: the one source of what the exports say of them.

A record is one quantity: a noise floor, a part of a variance, a point of a curve, a figure of somebody else's, a
deviation from the plan, what a contender cost. Scores and differences are fractions where `unit` is points. No
probability: what decides stands in `scores.py`.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace

import pandas as pd

from ft_eval.report.cards import CostRow
from ft_eval.report.formats import one_line
from ft_eval.report.sections import CurveChart, LastThird, NoiseRow, PlanCard, PublishedFigure, VarianceRow
from ft_eval.report.tables import Panel, Report
from ft_eval.report.units import Unit
from ft_eval.report.words import p_text
from ft_eval.stats import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionRecord:
    """One quantity of one section. A number that is not there is nan."""

    section: str
    """mean over tasks, noise, variance, training, last third, published, plan or cost."""
    label: str = ""
    """Whose it is: a contender, a training, a published model."""
    task: str = ""
    """Empty where it is about all of them."""
    metric: str = ""
    quantity: str
    position: float = math.nan
    """Along a training, in the quantity's own words: tokens or steps."""
    value: float = math.nan
    low: float = math.nan
    """Of its 95 % interval."""
    high: float = math.nan
    num_items: int | None = None
    unit: str = ""
    """points: shown times 100; raw, percent, seconds, bytes, and so on: shown as it is."""
    text: str = ""
    """What no number says."""


def section_records(report: Report) -> tuple[SectionRecord, ...]:
    """All sections' records, in the page's order."""
    return (
        *(record for panel in report.panels for record in _pooled(panel)),
        *(record for chart in report.curves for record in _curves(chart)),
        *map(_last_third, report.last_thirds),
        *(record for figure in report.published for record in _published(figure)),
        *(record for row in report.costs for record in _cost(row)),
        *(record for row in report.noise for record in _noise(row)),
        *(record for row in report.variances for record in _variance(row)),
        *(_plan(report.plan) if report.plan is not None else ()),
    )


def sections_frame(report: Report) -> pd.DataFrame:
    """`section_records` as a tidy frame, columns in the record's order, texts made visible."""
    names = [field.name for field in fields(SectionRecord)]
    rows = [[one_line(v) if isinstance(v, str) else v for v in asdict(r).values()] for r in section_records(report)]
    return pd.DataFrame(rows, columns=names).astype({"num_items": "Int64"})


def _pooled(panel: Panel) -> Iterator[SectionRecord]:
    base, section = panel.baseline.label if panel.baseline else "", "mean over tasks"
    for one in panel.pooled:
        words = "" if one.decision is None else one.decision.verdict.value
        yield _estimated(
            SectionRecord(
                section=section, label=one.label, quantity=f"difference to {base}", unit="points", text=words
            ),
            one.effect.effect,
        )
        if one.noise_floor is not None:
            yield SectionRecord(
                section=section,
                label=one.label,
                quantity="reruns of the baseline stay within",
                value=one.noise_floor.percentile_95,
                num_items=one.noise_floor.n,
                unit="points",
            )


def _curves(chart: CurveChart) -> Iterator[SectionRecord]:
    for curve in chart.curves:
        for point in curve.points:
            yield _estimated(
                SectionRecord(
                    section="training",
                    label=curve.label,
                    task=chart.task,
                    metric=chart.metric,
                    quantity=f"score by {chart.axis}",
                    position=point.position,
                    unit=chart.unit.value,
                    text=point.label,
                ),
                point.score,
            )


def _last_third(row: LastThird) -> SectionRecord:
    checkpoints = f"{row.num_latent_checkpoints} and {row.num_baseline_checkpoints} checkpoints"
    return _estimated(
        SectionRecord(
            section="last third",
            label=row.latent,
            task=row.task,
            metric=row.metric,
            quantity=f"difference to {row.baseline}",
            unit=row.unit.value,
            text=f"{checkpoints}; {p_text(row.comparison.paired)}",
        ),
        row.comparison.paired.difference,
    )


def _published(figure: PublishedFigure) -> Iterator[SectionRecord]:
    values = (("baseline", figure.baseline, "points"), ("latent", figure.latent, "points"))
    for quantity, value, unit in (*values, ("relative gain", figure.gain_percent, "percent")):
        if value is not None:
            yield SectionRecord(
                section="published",
                label=figure.model,
                task=figure.task,
                metric=figure.metric,
                quantity=quantity,
                value=value,
                unit=unit,
                text=figure.source,
            )


def _cost(row: CostRow) -> Iterator[SectionRecord]:
    quantities = (
        ("parameters", float(row.num_parameters), ""),
        ("FLOPs per generated token", float(row.flops_per_token) or math.nan, "FLOPs"),
        ("FLOPs per prompt token", float(row.flops_per_prompt_token) or math.nan, "FLOPs"),
        ("time", row.seconds, "seconds"),
        ("time over the baseline's", math.nan if row.seconds_ratio is None else row.seconds_ratio, "ratio"),
        ("prompt tokens", float(row.num_prompt_tokens), "tokens"),
        ("generated tokens", float(row.num_generated_tokens), "tokens"),
        ("speed", row.tokens_per_second, "tokens per second"),
        ("peak memory", float(row.peak_memory_bytes), "bytes"),
    )
    for quantity, value, unit in quantities:
        yield SectionRecord(section="cost", label=row.label, task=row.task, quantity=quantity, value=value, unit=unit)


def _noise(row: NoiseRow) -> Iterator[SectionRecord]:
    about = SectionRecord(
        section="noise",
        label=row.label,
        task=row.task,
        metric=row.metric,
        quantity="rerun minus first run",
        unit=row.unit.value,
        text=f"seeds {row.seeds[0]} and {row.seeds[1]}; {row.floor.num_changed} of {row.floor.n} items changed",
    )
    yield _estimated(about, row.floor.difference)
    yield SectionRecord(
        section=about.section,
        label=row.label,
        task=row.task,
        metric=row.metric,
        quantity="reruns stay within",
        value=row.floor.percentile_95,
        num_items=row.floor.n,
        unit=row.unit.value,
    )


def _variance(row: VarianceRow) -> Iterator[SectionRecord]:
    for part in row.split.components:
        yield SectionRecord(
            section="variance",
            label=row.label,
            task=row.task,
            metric=row.metric,
            quantity=f"variance of one score by {part.name}",
            value=part.variance,
            num_items=row.num_items,
            unit="score squared" if row.unit is Unit.RAW else "fraction squared",
            text=row.note,
        )


def _plan(card: PlanCard) -> Iterator[SectionRecord]:
    yield SectionRecord(
        section="plan",
        quantity="jobs",
        value=float(card.num_jobs),
        text=f"sha256 {card.digest}, {card.created_at}; primary: {', '.join(card.primary) or 'not declared'}",
    )
    for one in card.deviations:
        text = f"planned {one.planned}, found {one.found}"
        yield SectionRecord(section="plan", quantity=f"deviation: {one.what}", text=text)


def _estimated(record: SectionRecord, estimate: Estimate) -> SectionRecord:
    return replace(record, value=estimate.mean, low=estimate.low, high=estimate.high, num_items=estimate.n)
