"""Charts as positions in percent of their frame, with their ticks: scores along a training, gain against cost.

Draws nothing, knows no colour. Positions are rounded, so that the page is the same on every machine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ft_eval.records import Arm
from ft_eval.report.cards import CostRow
from ft_eval.report.forest import round_step
from ft_eval.report.formats import magnitude, score, signed
from ft_eval.report.sections import CurveChart
from ft_eval.report.tables import Panel, Unit
from ft_eval.stats import Verdict

_MAX_TICKS = 5
_ROOM = 0.08
"""Empty room at each end of an axis, as a share of what is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A number on an axis."""

    position: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One point with its interval; y runs downwards."""

    x: float
    y: float
    low: float | None
    high: float | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Points that are joined."""

    label: str
    is_latent: bool
    marks: tuple[Mark, ...]

    @property
    def path(self) -> str:
        """The points as SVG's `points`, in a frame of 100 by 100."""
        return " ".join(f"{mark.x:g},{mark.y:g}" for mark in self.marks)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    """One metric along the trainings."""

    title: str
    axis: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPoint:
    """What one latent gains over all primary tasks, and what it takes."""

    label: str
    verdict: Verdict
    mark: Mark
    seconds_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CostChart:
    """Gain in points against time relative to the baseline."""

    baseline: str
    points: tuple[CostPoint, ...]
    zero: float
    """Where no gain lies, from above."""
    one: float
    """Where the baseline's own time lies, from the left."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def line_chart(chart: CurveChart) -> LineChart:
    """A training's scores with their 95 % intervals."""
    points = [point for curve in chart.curves for point in curve.points]
    ends = [end for p in points for end in (p.score.mean, p.score.low, p.score.high) if math.isfinite(end)]
    across, down = _Axis([point.position for point in points]), _Axis(ends)
    lines = [
        Line(
            label=curve.label,
            is_latent=curve.arm is Arm.LATENT,
            marks=tuple(
                Mark(
                    x=across.at(point.position),
                    y=_down(down, point.score.mean),
                    low=_place(down, point.score.low),
                    high=_place(down, point.score.high),
                    text=f"{magnitude(point.position)}: {score(point.score.mean, chart.unit)}",
                )
                for point in curve.points
                if math.isfinite(point.score.mean)
            ),
        )
        for curve in chart.curves
    ]
    return LineChart(
        title=f"{chart.task}, {chart.metric}",
        axis=chart.axis,
        lines=tuple(lines),
        x_ticks=tuple(Tick(position=across.at(value), text=magnitude(value)) for value in across.ticks),
        y_ticks=tuple(Tick(position=_down(down, value), text=_score_tick(value, chart.unit)) for value in down.ticks),
    )


def cost_chart(panel: Panel, costs: Sequence[CostRow]) -> CostChart | None:
    """The candidates that have a mean over the primary tasks and a time to compare; None where there is none."""
    ratios = {cost.label: cost.seconds_ratio for cost in costs if cost.seconds_ratio is not None}
    found = [(one, ratios[one.label]) for one in panel.pooled if one.label in ratios]
    if panel.baseline is None or not found:
        return None
    across = _Axis([1.0, *(ratio for _, ratio in found)])
    effects = [one.effect.effect for one, _ in found]
    down = _Axis([0.0, *(end for e in effects for end in (e.mean, e.low, e.high) if math.isfinite(end))])
    points = [
        CostPoint(
            label=one.label,
            verdict=Verdict.UNRESOLVED if one.decision is None else one.decision.verdict,
            mark=Mark(
                x=across.at(ratio),
                y=_down(down, one.effect.effect.mean),
                low=_place(down, one.effect.effect.low),
                high=_place(down, one.effect.effect.high),
                text=f"{signed(one.effect.effect.mean, Unit.POINTS)} points at ×{ratio:.2f}",
            ),
            seconds_ratio=ratio,
        )
        for one, ratio in found
    ]
    return CostChart(
        baseline=panel.baseline.label,
        points=tuple(points),
        zero=_down(down, 0.0),
        one=across.at(1.0),
        x_ticks=tuple(Tick(position=across.at(value), text=f"×{value:.3g}") for value in across.ticks),
        y_ticks=tuple(Tick(position=_down(down, v), text=signed(v, Unit.POINTS)) for v in down.ticks),
    )


class _Axis:
    """From values to percent, the smallest near 0."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min(values), max(values)
        room = _ROOM * (high - low) or max(abs(high), 1.0) * _ROOM
        self._low, self._high = low - room, high + room

    def at(self, value: float) -> float:
        return round(100.0 * (value - self._low) / (self._high - self._low), 3)

    @property
    def ticks(self) -> tuple[float, ...]:
        """Round numbers inside the axis."""
        step = round_step((self._high - self._low) / _MAX_TICKS)
        numbers = range(math.ceil(self._low / step), math.floor(self._high / step) + 1)
        return tuple(number * step for number in numbers)


def _down(axis: _Axis, value: float) -> float:
    return round(100.0 - axis.at(value), 3)


def _place(axis: _Axis, value: float) -> float | None:
    return _down(axis, value) if math.isfinite(value) else None


def _score_tick(value: float, unit: Unit) -> str:
    return f"{100 * value:.4g}" if unit is Unit.POINTS else f"{value:.4g}"
