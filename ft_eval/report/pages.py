"""The pages of the probe and of the synthetic experiment as data: sections of tables, charts and sequences.

A page is given in a reader's words; `probe_page.py` lays it out, and a report can take its sections in. Computes
nothing but places in a chart.
"""

from dataclasses import dataclass

_MAX_LABELS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a table."""

    text: str
    value: float | None = None
    """The number behind the text, for a machine; a cell with one stands on the right."""
    note: str = ""
    """Small, below the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table whose first column heads its rows."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a chart."""

    label: str
    value: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """Bars from zero, side by side, with an optional line across."""

    title: str
    bars: tuple[Bar, ...]
    line: Bar | None = None

    @property
    def top(self) -> float:
        """The value at the upper edge; above 0."""
        values = [bar.value for bar in self.bars] + ([self.line.value] if self.line else [])
        return 1.1 * max([*values, 1e-9])

    @property
    def labels(self) -> tuple[tuple[int, str], ...]:
        """Place and label of the bars that are labelled: all, or every eighth where they are many."""
        step = 1 if len(self.bars) <= _MAX_LABELS else 8
        return tuple((place, self.bars[place].label) for place in range(0, len(self.bars), step))

    def height(self, value: float) -> float:
        """Percent of the chart's height, 0 to 100."""
        return round(100.0 * max(0.0, value) / self.top, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Sequences in one frame: a group of the paper's figure."""

    label: str
    shares_latent: bool
    """Green where they share Z, blue where each has its own; the label says it too."""
    sequences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what stands below it, in this order."""

    heading: str
    anchor: str
    paragraphs: tuple[str, ...] = ()
    charts: tuple[BarChart, ...] = ()
    tables: tuple[Table, ...] = ()
    strips: tuple[Strip, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A whole page."""

    title: str
    eyebrow: str
    headline: str
    lede: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    sections: tuple[Section, ...]
