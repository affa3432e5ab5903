"""Small runs, and what a report has found in them where there is one of everything."""

from ft_eval.report import Report
from ft_eval.report.tables import Cell, TaskRow
from ft_eval.report.verdicts import Comparison
from tests.report.fakes import FakeStore, baseline, job, latent, store, task

BASE, LATENT = job(baseline(), task()), job(latent(), task())
THREE_GAINED = ([0.0] * 12 + [1.0] * 8, [1.0] * 3 + [0.0] * 10 + [1.0] * 7)


def two_arms(base_scores, latent_scores, **task_changes) -> FakeStore:
    spec = task(**task_changes)
    return store({job(baseline(), spec): base_scores, job(latent(), spec): latent_scores})


def only_row(report: Report) -> TaskRow:
    (panel,) = report.panels
    (row,) = panel.rows
    return row


def only_cell(report: Report) -> Cell:
    (cell,) = only_row(report).primary.cells
    return cell


def comparison_of(report: Report) -> Comparison:
    comparison = only_cell(report).comparison
    assert comparison is not None
    return comparison
