"""Curves along a training, and its last third beside the baseline's."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from ft_eval.records import Job, SampleResult
from ft_eval.report import build_report, render_html
from ft_eval.report.tables import Report
from ft_eval.stats import CHECKPOINT
from tests.report import fakes

TASK = fakes.task("ppl", metric="score")
TOKENS = (10, 20, 25, 30)


def _scores(seed: int) -> dict[Job, Sequence[float | SampleResult] | None]:
    """Four checkpoints of a baseline and of a latent, which is better by 0.1 from the second on."""
    rng = np.random.default_rng(seed)
    items = rng.normal(0.0, 1.0, 50)
    scores: dict[Job, Sequence[float | SampleResult] | None] = {}
    for place, tokens in enumerate(TOKENS):
        base = fakes.baseline(f"base-{tokens}", training_run="base", training_tokens=tokens)
        latent = fakes.latent(f"ft-{tokens}", training_run="ft", training_tokens=tokens, baseline=base.name)
        scores[fakes.job(base, TASK)] = list(items + 0.1 * place + rng.normal(0.0, 0.2, 50))
        scores[fakes.job(latent, TASK)] = list(items + 0.1 * place + 0.1 + rng.normal(0.0, 0.2, 50))
    return scores


def _report(scores: dict[Job, Sequence[float | SampleResult] | None]) -> Report:
    return build_report([fakes.store(scores)])


def test_each_training_is_a_curve_in_the_order_of_its_tokens() -> None:
    scores = _scores(0)
    (chart,) = _report(dict(reversed(scores.items()))).curves
    assert (chart.task, chart.metric, chart.axis) == ("ppl", "score", "training tokens")
    curves = {curve.label: curve for curve in chart.curves}
    assert curves.keys() == {"base", "ft"}
    assert [point.position for point in curves["ft"].points] == [10.0, 20.0, 25.0, 30.0]
    assert [point.label for point in curves["base"].points] == ["base-10", "base-20", "base-25", "base-30"]


def test_the_last_third_is_the_paired_test_of_each_items_average() -> None:
    scores = _scores(1)
    (found,) = _report(scores).last_thirds
    by_name = {job.checkpoint.name: np.array(values) for job, values in scores.items()}
    base, latent = (np.mean([by_name[f"{side}-{tokens}"] for tokens in (25, 30)], axis=0) for side in ("base", "ft"))
    assert (found.baseline, found.latent) == ("base", "ft")
    assert (found.num_baseline_checkpoints, found.num_latent_checkpoints) == (2, 2)
    assert found.comparison.paired.difference.mean == pytest.approx(np.mean(latent - base), abs=1e-12)
    assert found.comparison.paired.p_value == pytest.approx(stats.ttest_rel(latent, base).pvalue, abs=1e-12)


def test_checkpoints_of_the_last_third_are_a_source_of_variance() -> None:
    rows = {row.label: row for row in _report(_scores(2)).variances}
    assert rows.keys() == {"base", "ft"}
    assert rows["ft"].split.components[0].name == CHECKPOINT


def test_steps_are_the_axis_where_some_checkpoint_says_no_tokens() -> None:
    scores: dict[Job, Sequence[float | SampleResult] | None] = {}
    for step in (100, 200):
        tokens = 5 if step == 100 else None
        checkpoint = fakes.baseline(f"base-{step}", training_run="base", step=step, training_tokens=tokens)
        scores[fakes.job(checkpoint, TASK)] = [0.0, 1.0, 0.5]
    (chart,) = _report(scores).curves
    assert chart.axis == "steps"
    assert [point.position for point in chart.curves[0].points] == [100.0, 200.0]


def test_checkpoints_that_name_no_training_make_no_curve() -> None:
    jobs = [fakes.job(fakes.baseline(f"base-{step}", step=step), TASK) for step in (1, 2)]
    report = _report({job: [0.0, 1.0] for job in jobs})
    assert (report.curves, report.last_thirds) == ((), ())


def test_of_a_long_training_the_last_third_and_the_last_moment_are_spoken_of_on_top() -> None:
    report = _report(_scores(3))
    lines = report.summary.lines
    assert lines[0].startswith("Over the last third of training (2 and 2 checkpoints), ft against base on ppl")
    assert lines[1] == "Each of the 4 moments of the training has its own verdicts below; of the last:"
    assert "ft-30" in lines[2]
    assert not [line for line in lines for early in TOKENS[:-1] if f"ft-{early}" in line]
    assert render_html(report).count('<details class="panel">') == 3
