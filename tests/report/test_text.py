"""The terminal's rows are one line each, harmless, and say the table's numbers."""

from ft_eval.report import RowKind, Verdict, build_report, summary_rows
from tests.report.example import example_report
from tests.report.fakes import baseline, job, latent, store, task


def test_a_row_says_the_comparison():
    spec = task()
    report = build_report([store({job(baseline(), spec): [0.0] * 30, job(latent(), spec): [1.0] * 12 + [0.0] * 18})])
    (row,) = summary_rows(report)
    assert (row.task, row.kind, row.num_items) == ("gsm8k", RowKind.TASK, "30")
    assert (row.baseline_score, row.latent_score, row.difference) == ("0.0", "40.0", "+40.0")
    assert (row.relative_gain, row.verdict) == ("undefined (baseline 0)", Verdict.BETTER)
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
