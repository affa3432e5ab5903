"""The verdict table and its sentences in a terminal. Computes nothing itself."""

import sys
from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ft_eval.report import GateResult, Outcome, Report, RowKind, SummaryRow, summary_lines, summary_rows
from ft_eval.report.formats import one_line


def print_verdicts(report: Report) -> None:
    """Print what the page's table says, to stdout; tasks of a group are left to the page."""
    table = Table(header_style="bold")
    for name in ("task", "latent"):
        table.add_column(name)
    for name in ("items", "baseline", "latent", "difference", "relative gain", "detectable", "W/L/T", "p", "corrected"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for row in summary_rows(report):
        if row.kind is not RowKind.SUBTASK:
            table.add_row(*map(escape, _cells(row)))
    console = Console() if sys.stdout.isatty() else Console(width=180)
    console.print(table)
    for line in summary_lines(report):
        console.print(escape(line), highlight=False, soft_wrap=not sys.stdout.isatty())


def print_checks(result: GateResult) -> None:
    """Print a gate's checks, those that don't pass last, and its outcome on the last line."""
    table = Table(header_style="bold")
    for name in ("latent", "task", "rule", "found", "outcome"):
        table.add_column(name)
    for check in sorted(result.checks, key=lambda check: check.outcome is not Outcome.PASS):
        cells = (check.latent, check.task, check.rule, check.found, check.outcome.value)
        table.add_row(*(escape(one_line(cell)) for cell in cells))
    console = Console() if sys.stdout.isatty() else Console(width=180)
    console.print(table)
    number = Counter(check.outcome for check in result.checks)
    tally = ", ".join(f"{number[outcome]} {outcome}" for outcome in Outcome if number[outcome])
    console.print(f"gate: {result.outcome} ({tally})", highlight=False)


def _cells(row: SummaryRow) -> tuple[str, ...]:
    difference = row.difference if row.verdict is None else f"{row.difference} {row.interval}"
    numbers = (difference, row.relative_gain, row.smallest_detectable, row.split, row.p_value, row.p_corrected)
    task = f"{row.task} ({row.metric})"
    return (task, row.latent, row.num_items, row.baseline_score, row.latent_score, *numbers, row.verdict or row.remark)
