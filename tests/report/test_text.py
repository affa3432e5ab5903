"""The terminal's rows are one line each, harmless, and say the table's numbers."""

from ft_eval.records import LatentPolicy
from ft_eval.report import RowKind, Verdict, build_report, summary_lines, summary_rows
from tests.report.example import example_report
from tests.report.fakes import baseline, job, latent, sample, store, task


def test_a_row_says_the_comparison():
    spec = task()
    report = build_report([store({job(baseline(), spec): [0.0] * 30, job(latent(), spec): [1.0] * 12 + [0.0] * 18})])
    (row,) = summary_rows(report)
    assert (row.task, row.kind, row.num_items) == ("gsm8k", RowKind.TASK, "30")
    assert (row.baseline_score, row.latent_score, row.difference) == ("0.0", "40.0", "+40.0")
    assert row.relative_gain == "left out (the baseline's 95 % interval reaches 0)"
    assert (row.verdict, row.split, row.p_corrected) == (Verdict.BETTER, "12/0/18", row.p_value)
    assert row.test == "mid-p McNemar"


def test_a_row_without_a_comparison_says_why():
    (row,) = summary_rows(build_report([store({job(baseline(), task()): [1.0], job(latent(), task()): None})]))
    assert (row.verdict, row.difference, row.remark) == (None, "–", "not finished")


def test_rows_follow_the_report_with_tasks_under_their_group():
    rows = summary_rows(example_report())
    assert [row.kind for row in rows if row.task.startswith("mmlu")][:4] == [RowKind.GROUP] * 3 + [RowKind.SUBTASK]
    assert len(rows) == 3 * 13


def test_names_cannot_write_to_the_terminal():
    spec = task("a\x1b]0;owned\x07\nb")
    (row,) = summary_rows(build_report([store({job(baseline("b\x9b2J"), spec): [1.0]})]))
    assert row.task == "a\\x1b]0;owned\\x07\\nb"
    assert row.baseline == "b\\x9b2J"


def test_draws_per_item_stand_beside_the_items():
    owner = job(latent(), task(), latents=LatentPolicy(num_draws=3))
    draws = [sample(owner, i, float((i + k) % 3 == 0), draw=k) for i in range(6) for k in range(3)]
    (row,) = summary_rows(build_report([store({job(baseline(), task()): [0.0, 1.0] * 3, owner: draws})]))
    assert row.num_items == "6 × 3"


def test_the_sentences_begin_with_the_verdict_and_stay_one_line_each():
    report = build_report([store({job(baseline(), task()): [0.0] * 30, job(latent("a\nb"), task()): [1.0] * 30})])
    lines = summary_lines(report)
    assert lines[0].startswith("a\\nb is better than base on gsm8k: +100.0 points [")
    assert [line for line in lines if "\n" in line] == []
