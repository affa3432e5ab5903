"""What of a gain remains with Z zeroed is said with its intervals, and what can be chance is said to be that."""

import json
import math
import re

import numpy as np
import pytest

from ft_eval.records import LatentSource, TaskGroup
from ft_eval.report import Report, Verdict, build_report, score_records, write_report
from ft_eval.report.exports import to_json, to_markdown
from ft_eval.report.tables import ArmTable, Cell
from ft_eval.stats import compare_macro, compare_paired
from tests.report.arms import arm_jobs, arms_store
from tests.report.fakes import baseline, job, latent, sample, store, task

PRIOR, POSTERIOR, ZERO, SHUFFLED = (
    LatentSource.PRIOR,
    LatentSource.POSTERIOR,
    LatentSource.ZERO,
    LatentSource.SHUFFLED,
)
NONE, FEW, HALF, ALL = ([1.0] * n + [0.0] * (100 - n) for n in (10, 13, 40, 80))


def arms_of(scores, base=NONE, *, arm=None, **task_changes) -> Report:
    """A report of one task under these sources of Z."""
    spec, owner = task(num_docs=100, **task_changes), arm or latent()
    jobs = arm_jobs(owner, spec, tuple(scores))
    return build_report([store({job(baseline(), spec): base, **{jobs[s]: scores[s] for s in scores}})])


def only_table(report: Report) -> ArmTable:
    (panel,) = report.panels
    (table,) = panel.arms
    return table


def sentences(report: Report) -> tuple[str, ...]:
    (row,) = only_table(report).rows
    return row.sentences


def cells(report: Report) -> dict[str, Cell]:
    (row,) = only_table(report).rows
    return dict(zip([arm.label for arm in only_table(report).arms], row.cells, strict=True))


def test_the_difference_to_zero_is_that_of_the_same_items_with_zero_as_the_baseline():
    rng = np.random.default_rng(3)
    base, prior, zero = (rng.integers(0, 2, 100).astype(float).tolist() for _ in range(3))
    found = cells(arms_of({PRIOR: prior, ZERO: zero}, base))
    to_zero, to_base = found["latent prior"].to_zero, found["latent prior"].comparison
    assert to_zero is not None
    assert to_base is not None
    assert to_zero.paired == compare_paired(zero, prior)
    assert to_base.paired == compare_paired(base, prior)
    assert found["latent zero"].to_zero is None


def test_a_group_is_held_to_zero_as_it_is_to_its_baseline():
    rng = np.random.default_rng(5)
    specs = [task(f"mmlu_{i}", metric="acc", num_docs=n) for i, n in enumerate((12, 40))]
    drawn = {spec: {s: rng.integers(0, 2, spec.num_docs).astype(float) for s in (PRIOR, ZERO)} for spec in specs}
    scores = {job(baseline(), spec): [0.0] * spec.num_docs for spec in specs}
    for spec in specs:
        scores |= {owner: drawn[spec][s].tolist() for s, owner in arm_jobs(latent(), spec, (PRIOR, ZERO)).items()}
    group = TaskGroup(name="mmlu", tasks=("mmlu_0", "mmlu_1"), weight_by_size=False, metric="acc")
    report = build_report([store(scores, [group])])
    (row,) = only_table(report).rows
    assert row.row.name == "mmlu"
    assert row.cells[0].to_zero is not None
    assert row.cells[0].to_zero.paired == compare_macro([(drawn[s][ZERO], drawn[s][PRIOR]) for s in specs])


def test_a_gain_that_needs_z_says_what_remains_without_it_and_what_z_adds():
    (said,) = sentences(arms_of({PRIOR: ALL, ZERO: HALF}))
    assert said.startswith("Of +70.0 points [")
    assert "over base under prior on 100 items, +30.0 [" in said
    assert "remain with Z zeroed. Prior minus zero: +40.0 [" in said
    assert said.endswith("better with Z than without.")
    assert "chance" not in said


def test_a_rest_that_can_be_chance_is_said_to_be_that():
    (said,) = sentences(arms_of({PRIOR: ALL, ZERO: FEW}))
    assert "+3.0 [" in said
    assert "remain with Z zeroed, which can be chance." in said


def test_a_rest_on_the_other_side_is_not_said_to_remain():
    (said,) = sentences(arms_of({PRIOR: ALL, ZERO: NONE}, HALF))
    assert "nothing remains with Z zeroed: −30.0 [" in said
    assert "a loss." in said


def test_an_unresolved_gain_is_never_split():
    (said,) = sentences(arms_of({PRIOR: FEW, ZERO: NONE}))
    assert said.startswith("+3.0 points [")
    assert "on 100 items, which can be chance. With Z zeroed 0.0 [" in said
    assert "Of +" not in said
    assert "remain" not in said


def test_a_gain_that_zero_has_too_is_not_credited_to_z():
    (said,) = sentences(arms_of({PRIOR: ALL, ZERO: ALL}))
    assert "+70.0 [" in said
    assert said.endswith("which can be chance, so these items do not tell whether the gain needs Z.")


def test_a_loss_is_called_a_loss():
    (said,) = sentences(arms_of({PRIOR: NONE, ZERO: ALL}, HALF))
    assert said.startswith("−30.0 points [")
    assert "a loss. With Z zeroed +40.0 [" in said
    assert said.endswith("worse with Z than without.")


def test_lower_is_better_turns_the_words_and_not_the_signs():
    base, noise = [4.0 + i / 100 for i in range(100)], [(i * 37 % 100) / 1000 for i in range(100)]
    prior = [b - 0.5 - n for b, n in zip(base, noise, strict=True)]
    zero = [b - 0.2 - n for b, n in zip(base, reversed(noise), strict=True)]
    (said,) = sentences(arms_of({PRIOR: prior, ZERO: zero}, base, metric="loss", higher_is_better=False))
    assert said.startswith("Of −0.5")
    assert " points" not in said
    assert "against base under prior on 100 items, −0.2" in said
    assert said.endswith("better with Z than without.")


def test_no_sentence_holds_a_percentage():
    for panel in build_report([arms_store()]).panels:
        said = [sentence for table in panel.arms for row in table.rows for sentence in row.sentences]
        assert said
        assert not [sentence for sentence in said if "%" in sentence]


def test_prior_and_posterior_are_spoken_of_and_the_others_stand_in_the_table():
    report = arms_of({PRIOR: ALL, POSTERIOR: ALL, ZERO: NONE, SHUFFLED: HALF})
    assert [re.findall("under (\\w+) on", said) for said in sentences(report)] == [["prior"], ["posterior"]]
    assert list(cells(report)) == ["latent prior", "latent posterior", "latent zero", "latent shuffled"]


def test_an_arm_that_has_not_finished_is_said_in_place_of_a_number():
    (said,) = sentences(arms_of({PRIOR: ALL, ZERO: None}))
    assert said == "What remains with Z zeroed of the difference under prior is not known: not finished."
    (said,) = sentences(arms_of({PRIOR: None, ZERO: ALL}))
    assert said == "Under prior there is no difference to base to speak of: not finished."


def test_without_the_zero_arm_there_is_a_table_and_no_attribution():
    report = arms_of({PRIOR: ALL, POSTERIOR: HALF})
    assert sentences(report) == ()
    assert all(cell.to_zero is None for cell in cells(report).values())


@pytest.mark.parametrize("scores", [{PRIOR: ALL}, {ZERO: ALL}])
def test_one_arm_makes_no_table(scores):
    assert arms_of(scores).panels[0].arms == ()


def test_arms_without_a_baseline_make_no_table():
    jobs = arm_jobs(latent(), task(), (PRIOR, ZERO))
    report = build_report([store({owner: [1.0, 0.0] for owner in jobs.values()})])
    assert all(panel.arms == () for panel in report.panels)


def test_a_checkpoint_and_a_seed_are_held_to_their_own_zero():
    spec = task(num_docs=100)
    zeros = {"l1": HALF, "l2": NONE}
    scores = {job(baseline(), spec): NONE}
    for name, zero in zeros.items():
        arms = arm_jobs(latent(name), spec, (PRIOR, ZERO))
        scores |= {arms[PRIOR]: ALL, arms[ZERO]: zero}
    tables = build_report([store(scores)]).panels[0].arms
    assert [table.name for table in tables] == ["l1", "l2"]
    for table in tables:
        to_zero = table.rows[0].cells[0].to_zero
        assert to_zero is not None
        assert to_zero.paired == compare_paired(zeros[table.name], ALL)


def test_other_items_than_the_baselines_are_counted_in_the_words():
    spec = task(num_docs=100)
    arms = arm_jobs(latent(), spec, (PRIOR, ZERO))
    broken = [sample(arms[ZERO], i, 0.0, error="no memory" if i < 5 else None) for i in range(100)]
    report = build_report([store({job(baseline(), spec): NONE, arms[PRIOR]: ALL, arms[ZERO]: broken})])
    (said,) = sentences(report)
    assert "under prior on 100 items" in said
    assert "on 95 items" in said


def test_the_exports_hold_the_difference_to_zero_and_the_words(tmp_path):
    report = build_report([arms_store()])
    records = {(r.latent, r.task): r for r in score_records(report) if r.kind != "subtask"}
    for panel in report.panels:
        for table in panel.arms:
            for row in table.rows:
                for cell in row.cells:
                    record = records[cell.label, row.row.name]
                    if cell.to_zero is None:
                        assert math.isnan(record.difference_to_zero)
                        assert record.verdict_to_zero == ""
                    else:
                        assert record.difference_to_zero == cell.to_zero.paired.difference.mean
                        assert Verdict(record.verdict_to_zero) is cell.to_zero.verdict
    said = json.loads(to_json(report))["attributions"]
    assert {row["checkpoint"] for row in said} == {"κ-1/2", "collapsed-κ-1/2"}
    assert to_markdown(report).count("minus zero") == sum(len(row["sentences"]) for row in said)
    assert (tmp_path / "report.html") in write_report(report, tmp_path)
