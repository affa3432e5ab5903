"""Changes that cancel are no scores that stayed: no interval, no gain, and no word but unresolved."""

import math

import numpy as np
import pytest

from ft_eval.records import TaskGroup
from ft_eval.report import Outcome, Report, Terms, build_report, check_policy, load_policy, render_html
from ft_eval.report.evidence import Pairs
from ft_eval.report.gains import macro_gain
from ft_eval.report.heaps import compare_strata
from ft_eval.report.verdicts import Comparison
from ft_eval.stats import macro_estimate, mean_estimate
from ft_eval.stats.no_spread import ALIKE, NOTHING_VARIES
from tests.report.fakes import FakeStore, baseline, job, latent, sample, store, task

TERMS = Terms(margin_points=5)


def two_tasks() -> FakeStore:
    """One task up by 25 points on each of 60 items, the other down by as much, and one vote each."""
    specs = {task("up", metric="acc"): 0.75, task("down", metric="acc"): 0.25}
    scores = {job(baseline(), spec): [0.5] * 60 for spec in specs}
    scores |= {job(latent(), spec): [end] * 60 for spec, end in specs.items()}
    group = TaskGroup(name="both", tasks=("up", "down"), weight_by_size=False, metric="acc")
    return store(dict(scores), [group])


def clusters() -> FakeStore:
    """One item gained and one lost in each of 200 passages."""
    spec = task(num_docs=400, cluster_field="passage")
    scores = {}
    for who, first in ((baseline(), 0), (latent(), 1)):
        owner = job(who, spec)
        scores[owner] = [sample(owner, i, float((i + first) % 2), details={"passage": str(i // 2)}) for i in range(400)]
    return store(dict(scores))


def comparison_of(report: Report) -> Comparison:
    held = report.panels[0].rows[0].primary.cells[0].comparison
    assert held is not None
    return held


def why_not_detectable(held: Comparison) -> str:
    assert held.detectable is not None
    return held.detectable.reason


@pytest.mark.parametrize(
    ("made", "split", "p"),
    [
        (two_tasks, "60 better, 60 worse, 0 equal", "p = 1.00 (paired t, stratified by task)"),
        (clusters, "200 better, 200 worse, 0 equal", "p = 1.00 (paired t over clusters (CR2); sign flips 1.00)"),
    ],
)
def test_they_are_unresolved_and_the_sentence_says_why_there_is_no_interval(made, split, p):
    report = build_report([made()], terms=TERMS)
    held = comparison_of(report)
    assert held.verdict == "unresolved"
    assert not held.is_within_margin
    assert math.isnan(held.paired.difference.low)
    assert f"{split}; {p}; no interval: {ALIKE}. This can be chance." in held.sentence
    assert (held.gain.reason, why_not_detectable(held)) == (ALIKE, ALIKE)
    page = render_html(report)
    assert "no score changed" not in page
    assert "nan" not in report.summary.headline


@pytest.mark.parametrize("rule", ["no_worse_than = 5", "better_than = 0"])
def test_a_policy_is_neither_met_nor_broken_by_them(tmp_path, rule):
    path = tmp_path / "policy.toml"
    path.write_text(f"[tasks.both]\n{rule}\n")
    check = check_policy(build_report([two_tasks()], terms=TERMS), load_policy(path)).checks[0]
    assert (check.outcome, check.found) == (Outcome.INCONCLUSIVE, f"no interval: {ALIKE}")


def test_two_samples_of_constant_scores_do_not_differ_item_by_item():
    """None right in one sample and all in the other: two proportions with no spread, and no pair of items."""
    scores = {}
    for who, score in ((baseline(), 0.0), (latent(), 1.0)):
        owner = job(who, task())
        scores[owner] = [sample(owner, i, score, doc_hash=f"{who.name} {i}") for i in range(20)]
    report = build_report([store(dict(scores))], terms=Terms(unpaired=True))
    held = comparison_of(report)
    assert held.paired.is_unpaired
    assert why_not_detectable(held) == NOTHING_VARIES


def pairs(latent_scores: np.ndarray, names: np.ndarray | None) -> Pairs:
    ids = np.arange(latent_scores.size)
    base = np.full(latent_scores.size, 0.5)
    return Pairs(baseline=base, latent=latent_scores, baseline_ids=ids, latent_ids=ids, clusters=names)


def test_tasks_whose_clusters_cancel_are_no_tasks_that_stayed():
    names = np.repeat(np.arange(30), 2).astype(np.uint64)
    strata = [pairs(np.tile([0.25, 0.75], 30), names), pairs(np.full(60, 0.5), names)]
    found = compare_strata(strata, higher_is_better=True)
    assert (found.num_wins, found.num_losses) == (30, 30)
    assert math.isnan(found.difference.low)
    assert found.difference.reason == ALIKE
    baseline_mean = macro_estimate([mean_estimate(one.baseline) for one in strata])
    assert macro_gain(strata, baseline_mean, found, chance=0.0).reason == ALIKE
