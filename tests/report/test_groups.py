"""Groups of tasks: one heap or one vote each, and what is not finished."""

from dataclasses import replace

import numpy as np
import pytest

from ft_eval.records import TaskGroup
from ft_eval.report import RowKind, build_report
from ft_eval.stats import compare_macro, compare_paired
from tests.report.fakes import FakeStore, baseline, job, latent, sample, store, task


def group_store(*, weight_by_size: bool) -> tuple[FakeStore, list[tuple[np.ndarray, np.ndarray]]]:
    rng = np.random.default_rng(57)
    pairs = [(rng.integers(0, 2, n).astype(float), rng.integers(0, 2, n).astype(float)) for n in (4, 30, 9)]
    specs = [task(f"mmlu_{i}", metric="acc") for i in range(3)]
    scores = {job(baseline(), spec): base.tolist() for spec, (base, _) in zip(specs, pairs, strict=True)}
    scores |= {job(latent(), spec): other.tolist() for spec, (_, other) in zip(specs, pairs, strict=True)}
    group = TaskGroup(name="mmlu", tasks=tuple(s.name for s in specs), weight_by_size=weight_by_size, metric="acc")
    return store(dict(scores), [group]), pairs


def test_a_micro_group_is_all_items_in_one_heap():
    fake, pairs = group_store(weight_by_size=True)
    row = build_report([fake]).panels[0].rows[0]
    comparison = row.primary.cells[0].comparison
    assert comparison is not None
    assert comparison.paired == compare_paired(*(np.concatenate(side) for side in zip(*pairs, strict=True)))
    assert row.num_docs == 60


def test_a_macro_group_gives_every_task_one_vote():
    fake, pairs = group_store(weight_by_size=False)
    comparison = build_report([fake]).panels[0].rows[0].primary.cells[0].comparison
    assert comparison is not None
    assert comparison.paired == compare_macro(pairs)
    assert comparison.latent.mean == pytest.approx(np.mean([other.mean() for _, other in pairs]))


def test_tasks_stand_under_their_group_and_count_once_in_the_summary():
    fake, _ = group_store(weight_by_size=True)
    report = build_report([fake])
    assert [(row.name, row.kind) for row in report.panels[0].rows] == [
        ("mmlu", RowKind.GROUP),
        ("mmlu_0", RowKind.SUBTASK),
        ("mmlu_1", RowKind.SUBTASK),
        ("mmlu_2", RowKind.SUBTASK),
    ]
    assert "on mmlu:" in report.summary.headline


def test_a_task_of_two_groups_stands_under_both():
    fake, _ = group_store(weight_by_size=True)
    stem = TaskGroup(name="stem", tasks=("mmlu_1",), metric="acc")
    fake.plan = replace(fake.plan, groups=(*fake.plan.groups, stem))
    rows = build_report([fake]).panels[0].rows
    assert [(row.group, row.name) for row in rows if row.name == "mmlu_1"] == [("mmlu", "mmlu_1"), ("stem", "mmlu_1")]


def test_the_direction_of_a_groups_metric_is_what_the_task_says_whose_primary_metric_it_is():
    """The second task's `edits` are better when fewer, which the name doesn't tell and the first task doesn't say."""
    specs = (task("first", metric="acc"), task("second", metric="edits", higher_is_better=False))
    sides = {baseline(): [0.75, 0.5, 1.0], latent(): [0.25, 0.0, 0.5]}
    jobs = {job(who, spec): values for who, values in sides.items() for spec in specs}
    scores = {
        one: [sample(one, i, value, metrics={"acc": 0.5, "edits": value}) for i, value in enumerate(values)]
        for one, values in jobs.items()
    }
    group = TaskGroup(name="both", tasks=("first", "second"), weight_by_size=True, metric="edits")
    row = build_report([store(dict(scores), [group])]).panels[0].rows[0]
    assert (row.primary.metric, row.primary.higher_is_better) == ("edits", False)
    comparison = row.primary.cells[0].comparison
    assert comparison is not None
    assert (comparison.paired.num_wins, comparison.paired.num_losses) == (6, 0)


def test_an_unfinished_group_is_partial():
    fake, _ = group_store(weight_by_size=True)
    del fake.results[list(fake.results)[-1]]
    row = build_report([fake]).panels[0].rows[0]
    assert "partial: latent has finished 2 of 3 tasks" in row.notes
    comparison = row.primary.cells[0].comparison
    assert comparison is not None
    assert comparison.paired.difference.n == 34
