"""What rerunning the baseline does beside every difference, and where variance comes from."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ft_eval.records import Job, LatentPolicy, SampleResult, TaskGroup
from ft_eval.report import build_report
from ft_eval.report.tables import Report
from ft_eval.stats import DRAW, ITEM, RUN, SEED, Verdict
from tests.report import fakes

TASK = fakes.task()
BASE = fakes.job(fakes.baseline(), TASK)
AGAIN = replace(BASE, seed=1, is_rerun=True)
LATENT = fakes.job(fakes.latent(), TASK)


def _report(scores: dict[Job, Sequence[float | SampleResult] | None], groups: Sequence[TaskGroup] = ()) -> Report:
    return build_report([fakes.store(scores, groups)])


def _first(num_right: int, num_wrong: int) -> list[float]:
    return [1.0] * num_right + [0.0] * num_wrong


def test_a_rerun_stands_beside_the_difference_and_in_no_panel() -> None:
    report = _report({BASE: _first(10, 10), AGAIN: _first(12, 8), LATENT: _first(15, 5)})
    (panel,) = report.panels
    (row,) = report.noise
    assert [c.label for c in report.contenders] == ["base", "latent"]
    assert (row.label, row.task, row.seeds) == ("base", "gsm8k", (0, 1))
    assert row.floor.num_changed == 2
    assert row.floor.percentile_95 == pytest.approx(1.959964 * 2**0.5 / 20, abs=1e-6)
    assert panel.rows[0].primary.noise_floor == row.floor


def test_a_difference_below_the_noise_floor_is_never_called_better() -> None:
    base, latent = _first(10, 30), _first(20, 20)
    assert _verdict(_report({BASE: base, LATENT: latent})) is Verdict.BETTER
    noisy = _report({BASE: base, AGAIN: [1.0 - score for score in base], LATENT: latent})
    assert _verdict(noisy) is Verdict.UNRESOLVED
    assert _verdict(_report({BASE: base, AGAIN: base, LATENT: latent})) is Verdict.BETTER


def test_an_unfinished_rerun_counts_as_a_job_and_makes_no_floor() -> None:
    report = _report({BASE: _first(10, 10), AGAIN: None, LATENT: _first(15, 5)})
    assert report.noise == ()
    assert report.missing == ("base, again: gsm8k",)
    assert "1 of 3 jobs" in report.stamps[0]


@pytest.mark.parametrize("weight_by_size", [True, False])
def test_a_group_has_a_floor_where_all_of_its_tasks_were_run_again(weight_by_size: bool) -> None:
    tasks = [fakes.task("a", num_docs=20), fakes.task("b", num_docs=40)]
    group = TaskGroup(name="both", tasks=("a", "b"), weight_by_size=weight_by_size, metric="exact_match")
    scores: dict[Job, Sequence[float | SampleResult] | None] = {}
    for n, task in zip((20, 40), tasks, strict=True):
        base = fakes.job(fakes.baseline(), task)
        scores |= {base: _first(10, n - 10), replace(base, seed=1, is_rerun=True): _first(12, n - 12)}
        scores |= {fakes.job(fakes.latent(), task): _first(11, n - 11)}
    report = _report(scores, [group])
    (row,) = report.noise
    wanted = 4**0.5 / 60 if weight_by_size else 0.5 * (2 / 20**2 + 2 / 40**2) ** 0.5
    assert (row.task, row.floor.n) == ("both", 60)
    assert row.floor.stderr == pytest.approx(wanted, abs=1e-12)


def _verdict(report: Report) -> Verdict:
    comparison = report.panels[0].rows[0].primary.cells[0].comparison
    assert comparison is not None
    return comparison.verdict


def _drawn(job: Job, scores: np.ndarray) -> list[float | SampleResult]:
    """Samples of (n, K) scores."""
    return [fakes.sample(job, i, float(s), draw=k) for i, own in enumerate(scores) for k, s in enumerate(own)]


def test_draws_and_seeds_are_split_from_the_items() -> None:
    rng = np.random.default_rng(0)
    jobs = [fakes.job(fakes.latent(), TASK, latents=LatentPolicy(num_draws=4), seed=seed) for seed in range(3)]
    items = rng.normal(0.0, 1.0, 400)
    noise = [rng.normal(0.0, 0.5, (400, 4)) for _ in jobs]
    report = _report({job: _drawn(job, items[:, None] + own) for job, own in zip(jobs, noise, strict=True)})
    (row,) = report.variances
    assert [c.name for c in row.split.components] == [ITEM, SEED, DRAW]
    assert row.split[ITEM].variance == pytest.approx(1.0, abs=0.2)
    assert row.split[DRAW].variance == pytest.approx(0.25, abs=0.03)
    assert row.split[SEED].variance < 0.02  # a seed of its own adds nothing beyond its draws
    assert "3 seeds" in row.note


def test_a_rerun_is_a_second_decoding_seed() -> None:
    report = _report({BASE: _first(10, 10), AGAIN: _first(12, 8), LATENT: _first(15, 5)})
    (row,) = report.variances
    assert (row.label, [c.name for c in row.split.components]) == ("base", [ITEM, SEED])
    assert row.split[SEED].variance == pytest.approx(2 * 0.5 / 20)  # two items of twenty differ, 1/2 each


def test_trainings_of_one_recipe_are_sources_of_their_own() -> None:
    rng = np.random.default_rng(1)
    items = rng.normal(0.0, 1.0, 300)
    scores: dict[Job, Sequence[float | SampleResult] | None] = {}
    for seed, shift in enumerate((-0.5, 0.0, 0.5)):
        checkpoint = fakes.baseline(f"base-{seed}", training_run="recipe", training_seed=seed, step=100)
        scores[fakes.job(checkpoint, TASK)] = list(items + shift + rng.normal(0.0, 0.1, 300))
    (row,) = _report(scores).variances
    assert row.label == "recipe"
    assert row.split[RUN].variance == pytest.approx(0.25, abs=0.01)


def test_nothing_is_split_where_nothing_was_done_twice() -> None:
    assert _report({BASE: _first(10, 10), LATENT: _first(15, 5)}).variances == ()


def test_the_mean_over_tasks_is_held_to_the_floor_of_the_mean() -> None:
    """Both tasks gain far beyond chance, and the baseline's reruns move as far."""
    tasks, base, latent = [fakes.task(name, num_docs=60) for name in "ab"], _first(10, 50), _first(20, 40)
    owners = [(fakes.job(fakes.baseline(), task), fakes.job(fakes.latent(), task)) for task in tasks]
    plain = {job: scores for own in owners for job, scores in zip(own, (base, latent), strict=True)}
    reruns = {replace(own, seed=1, is_rerun=True): [1.0 - score for score in base] for own, _ in owners}
    alone, noisy = _report({**plain}), _report({**plain, **reruns})
    assert [_pooled_verdict(report) for report in (alone, noisy)] == [Verdict.BETTER, Verdict.UNRESOLVED]
    line = "Reruns of base alone move its mean over these tasks by less than 17.9 points 95 times in 100."
    assert line in noisy.summary.lines
    assert line not in alone.summary.lines
    floor = noisy.panels[0].pooled[0].noise_floor
    assert floor is not None
    assert floor.percentile_95 == pytest.approx(1.959964 * (2 * 60 / 60**2) ** 0.5 / 2, abs=1e-6)


def _pooled_verdict(report: Report) -> Verdict:
    (pooled,) = report.panels[0].pooled
    assert pooled.decision is not None
    return pooled.decision.verdict
