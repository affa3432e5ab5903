"""The forest plot's geometry: differences and intervals as positions in percent. Draws nothing, knows no colour."""

import math
from collections.abc import Sequence

from ft_eval.report.formats import signed
from ft_eval.report.tables import Cell, Contender, Forest, ForestBar, ForestTick, RowKind, TaskRow, Unit

_MARGIN = 0.04
_MAX_TICKS = 7


def make_forests(rows: Sequence[TaskRow], latents: Sequence[Contender]) -> tuple[Forest, ...]:
    """One plot per latent checkpoint, all with one axis; tasks of a group stand in their group's bar.

    Only metrics in points can share an axis; the others are left to the table.
    """
    shown = [row for row in rows if row.kind is not RowKind.SUBTASK and row.primary.unit is Unit.POINTS]
    found = [(row, cell) for row in shown for cell in row.primary.cells if _has_interval(cell)]
    if not found:
        return ()
    bands = [(-band, band) for row, cell in found for band in (_unseen(cell), _noise(row))]
    scale = _Scale([*(_ends(cell) for _, cell in found), *bands])
    plots = [(latent.label, [(row, cell) for row, cell in found if cell.label == latent.label]) for latent in latents]
    return tuple(
        Forest(
            label=label,
            zero=scale.position(0.0),
            bars=tuple(_bar(row, cell, scale) for row, cell in bars),
            ticks=scale.ticks,
        )
        for label, bars in plots
        if bars
    )


class _Scale:
    """From differences in points to percent of the width; zero always lies inside."""

    def __init__(self, ends: Sequence[tuple[float, float]]) -> None:
        low, high = min(0.0, *(end[0] for end in ends)), max(0.0, *(end[1] for end in ends))
        margin = _MARGIN * (high - low) or 1.0
        self.low, self.high = low - margin, high + margin

    def position(self, points: float) -> float:
        """Rounded, so that the page is the same on every machine."""
        return round(100.0 * (points - self.low) / (self.high - self.low), 3)

    @property
    def ticks(self) -> tuple[ForestTick, ...]:
        """Round numbers inside the axis, zero among them."""
        step = round_step((self.high - self.low) / _MAX_TICKS)
        numbers = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
        return tuple(ForestTick(position=self.position(n * step), text=_tick_text(n * step)) for n in numbers)


def round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= least)


def _tick_text(points: float) -> str:
    return f"{points:+.3g}".replace("-", "\N{MINUS SIGN}") if abs(points) > 1e-9 else "0"


def _has_interval(cell: Cell) -> bool:
    return cell.comparison is not None and not math.isnan(cell.comparison.paired.difference.low)


def _ends(cell: Cell) -> tuple[float, float]:
    assert cell.comparison is not None, "only cells with an interval are drawn"
    difference = cell.comparison.paired.difference
    return 100.0 * difference.low, 100.0 * difference.high


def _unseen(cell: Cell) -> float:
    """The smallest detectable difference in points; 0 where it is not known."""
    found = cell.comparison.detectable if cell.comparison else None
    return 0.0 if found is None or math.isnan(found.difference) else found.points


def _noise(row: TaskRow) -> float:
    """What reruns of the baseline stay below 95 times in 100, in points; 0 where it was not run again."""
    floor = row.primary.noise_floor
    return 0.0 if floor is None or math.isnan(floor.percentile_95) else 100.0 * floor.percentile_95


def _bar(row: TaskRow, cell: Cell, scale: _Scale) -> ForestBar:
    assert cell.comparison is not None, "only cells with an interval are drawn"
    (low, high), difference = _ends(cell), cell.comparison.paired.difference
    unseen, noise = _unseen(cell), _noise(row)
    return ForestBar(
        name=row.name,
        text=signed(difference.mean, Unit.POINTS),
        verdict=cell.comparison.verdict,
        low=scale.position(low),
        mean=scale.position(100.0 * difference.mean),
        high=scale.position(high),
        unseen=(scale.position(-unseen), scale.position(unseen)) if unseen else None,
        noise=(scale.position(-noise), scale.position(noise)) if noise else None,
    )
