"""The sections beside the tables in sentences, for a terminal: noise, last thirds, published figures, the plan."""

from collections.abc import Iterator

from ft_eval.report.formats import count, interval, percent, signed, unsigned
from ft_eval.report.sections import LastThird, NoiseRow, PlanCard, PublishedFigure
from ft_eval.report.tables import Report
from ft_eval.report.units import Unit
from ft_eval.report.words import p_text


def section_lines(report: Report) -> Iterator[str]:
    """A line for each row of each section that there is."""
    yield from map(noise_line, report.noise)
    yield from map(published_line, report.published)
    if report.plan is not None:
        yield from plan_lines(report.plan)


def noise_line(row: NoiseRow) -> str:
    """What rerunning a baseline did to one score."""
    floor, unit = row.floor, " points" if row.unit is Unit.POINTS else ""
    if not floor.num_changed:
        return (
            f"Noise floor: {row.label} run again on {row.task} gives every one of {count(floor.n, 'item')} its score."
        )
    return (
        f"Noise floor: {row.label} run again on {row.task} differs on {count(floor.num_changed, 'item')} of "
        f"{floor.n:,}, by {_amount(floor.difference.mean, row.unit)} in all; such reruns stay within "
        f"±{unsigned(floor.percentile_95, row.unit)}{unit} 95 times in 100."
    )


def last_third_line(row: LastThird) -> str:
    """Two trainings over their last thirds."""
    difference = row.comparison.paired.difference
    ends = interval(difference.low, difference.high, row.unit)
    checkpoints = f"{row.num_latent_checkpoints} and {row.num_baseline_checkpoints} checkpoints"
    return (
        f"Over the last third of training ({checkpoints}), {row.latent} against {row.baseline} on {row.task}: "
        f"{_amount(difference.mean, row.unit)} {ends}, {p_text(row.comparison.paired)}."
    )


def published_line(figure: PublishedFigure) -> str:
    """A figure of somebody else's."""
    scores = ""
    if figure.baseline is not None and figure.latent is not None:
        scores = f" {100 * figure.baseline:.1f} → {100 * figure.latent:.1f},"
    where = f"{figure.source}, {figure.model}"
    return f"Published ({where}), {figure.task} by {figure.metric}:{scores} {percent(figure.gain_percent)}."


def plan_lines(card: PlanCard) -> Iterator[str]:
    """The plan, and a line for each deviation."""
    named = f"plan {card.digest[:12]} of {card.created_at}"
    if not card.deviations:
        yield f"As planned: {named}, {count(card.num_jobs, 'job')}."
        return
    yield f"Not as planned ({named}): {count(len(card.deviations), 'deviation')}."
    for one in card.deviations:
        yield f"Deviation: {one.what}: planned {one.planned}, found {one.found}."


def _amount(value: float, unit: Unit) -> str:
    return signed(value, unit) + (" points" if unit is Unit.POINTS else "")
