"""The plot's positions say the table's numbers."""

import pytest

from ft_eval.report.tables import Forest, RowKind, Unit
from tests.report.example import example_report


def points_at(forest: Forest, position: float) -> float:
    """Undo the scale by two of its ticks."""
    first, last = forest.ticks[0], forest.ticks[-1]
    low, high = (float(tick.text.replace("−", "-")) for tick in (first, last))
    return low + (position - first.position) * (high - low) / (last.position - first.position)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_bars_stand_where_the_table_says(place):
    panel = example_report().panels[0]
    forest = panel.forests[place]
    rows = [r for r in panel.rows if r.kind is not RowKind.SUBTASK and r.primary.unit is Unit.POINTS]
    assert [bar.name for bar in forest.bars] == [row.name for row in rows]
    for bar, row in zip(forest.bars, rows, strict=True):
        comparison = row.primary.cells[place].comparison
        assert comparison is not None
        difference = comparison.paired.difference
        for position, value in ((bar.low, difference.low), (bar.mean, difference.mean), (bar.high, difference.high)):
            assert points_at(forest, position) == pytest.approx(100 * value, abs=2e-3)
        assert bar.verdict is comparison.verdict
        assert bar.unseen is not None
        assert comparison.detectable is not None
        ends = [points_at(forest, end) for end in bar.unseen]
        assert ends == pytest.approx([-comparison.detectable.points, comparison.detectable.points], abs=4e-3)


def test_all_plots_of_a_panel_share_one_axis_with_zero_on_it():
    forests = example_report().panels[0].forests
    assert len({(forest.zero, forest.ticks) for forest in forests}) == 1
    assert (forests[0].zero, "0") in [(tick.position, tick.text) for tick in forests[0].ticks]


def test_everything_lies_inside_the_plot():
    for forest in example_report().panels[0].forests:
        positions = [tick.position for tick in forest.ticks] + [
            p for b in forest.bars for p in (b.low, b.mean, b.high, *(b.unseen or ()))
        ]
        assert 0.0 <= min(positions) <= max(positions) <= 100.0
