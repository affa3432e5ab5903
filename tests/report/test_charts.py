"""Charts are positions inside their frame, in the order of their values, and the same numbers stand in a table."""

import math
from dataclasses import replace

from ft_eval.records import Arm
from ft_eval.report import build_report, render_html
from ft_eval.report.charts import cost_chart, line_chart
from ft_eval.report.sections import Curve, CurveChart, CurvePoint
from ft_eval.report.tables import Unit
from ft_eval.stats import Estimate
from tests.report.example import example_report
from tests.report.fakes import baseline, job, latent, store, task
from tests.report.page import Page


def estimate(mean: float, half: float = 0.02) -> Estimate:
    return Estimate(mean=mean, stderr=half / 2, low=mean - half, high=mean + half, n=100, method="t")


def curves() -> CurveChart:
    def curve(label, arm, scores):
        points = [
            CurvePoint(label=f"{label} {i}", position=1e9 * (i + 1), score=estimate(s)) for i, s in enumerate(scores)
        ]
        return Curve(label=label, arm=arm, points=tuple(points))

    return CurveChart(
        task="gsm8k",
        metric="exact_match",
        unit=Unit.POINTS,
        axis="training tokens",
        curves=(curve("base", Arm.BASELINE, [0.1, 0.2, 0.3]), curve("latent", Arm.LATENT, [0.1, 0.25, math.nan])),
    )


def test_a_training_runs_from_left_to_right_and_more_is_higher():
    chart = line_chart(curves())
    base, other = chart.lines
    assert [mark.x for mark in base.marks] == sorted(mark.x for mark in base.marks)
    assert [mark.y for mark in base.marks] == sorted((mark.y for mark in base.marks), reverse=True)
    assert len(other.marks) == 2
    for mark in (*base.marks, *other.marks):
        assert mark.low is not None
        assert mark.high is not None
        assert 0 <= mark.high < mark.y < mark.low <= 100
    assert {tick.text for tick in chart.y_ticks} >= {"10", "20", "30"}
    assert "2 B" in {tick.text for tick in chart.x_ticks}


def test_a_point_alone_has_a_chart():
    whole = curves()
    alone = replace(whole, curves=(replace(whole.curves[0], points=whole.curves[0].points[:1]),))
    (line,) = line_chart(alone).lines
    assert line.marks[0].x == 50.0


def test_gain_stands_against_time_and_the_baseline_at_one():
    report = example_report()
    chart = cost_chart(report.panels[0], report.costs)
    assert chart is not None
    assert {point.label for point in chart.points} == {"κ-1/4", "κ-1/2", "κ-2"}
    assert all(math.isclose(point.seconds_ratio, 1.05) and point.mark.x > chart.one for point in chart.points)
    means = {one.label: one.effect.effect.mean for one in report.panels[0].pooled}
    assert all((point.mark.y < chart.zero) == (means[point.label] > 0) for point in chart.points)


def test_without_a_comparison_there_is_no_chart():
    report = build_report([store({job(baseline(), task()): [1.0, 0.0], job(latent(), task()): None})])
    assert cost_chart(report.panels[0], report.costs) is None


def test_curves_are_drawn_named_and_repeated_as_a_table():
    page = Page(render_html(replace(example_report(), curves=(curves(),))))
    (table,) = [table for table in page.tables if table.caption == "gsm8k, exact_match by training tokens"]
    assert [row.numbers[1] for row in table.rows[1:6] if len(row.numbers) > 1][:3] == [0.1, 0.2, 0.3]
    assert sum(tag == "polyline" for tag, _ in page.tags) == 2
    assert "base: 1 B: 10.0 to 3 B: 30.0" in page.text
