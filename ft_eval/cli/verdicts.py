"""The verdict table and its sentences in a terminal. Computes nothing itself."""

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from ft_eval.cli import terminal
from ft_eval.report import GateResult, Outcome, Report, RowKind, SummaryRow, Verdict, summary_lines, summary_rows
from ft_eval.report.formats import one_line

_NARROW, _MEDIUM, _WIDE = 80, 110, 150
"""Characters from which the items and p, then the relative gain, and then every column fits."""
_PAPER = 180
"""Characters in a line where nobody looks at it on a screen."""
_VERDICTS = {
    Verdict.BETTER: "[bold blue]▲ better[/]",
    Verdict.WORSE: "[bold dark_orange]▼ worse[/]",
    Verdict.EQUIVALENT: "◆ equivalent",
    Verdict.UNRESOLVED: "[dim]○ unresolved[/]",
}


def print_verdicts(report: Report) -> None:
    """Print the verdict sentence, the page's table and what else a reader must know, to stdout.

    Tasks of a group are left to the page. A narrow terminal leaves out what the sentences say anyway.
    """
    console = terminal.console(width=_PAPER)
    headline, *rest = summary_lines(report)
    console.print(f"[bold]{escape(headline)}[/bold]", highlight=False, soft_wrap=not console.is_terminal)
    console.print(_table(summary_rows(report), console.width))
    for line in rest:
        console.print(escape(line), highlight=False, soft_wrap=not console.is_terminal)


def _table(rows: Sequence[SummaryRow], width: int) -> Table:
    """What stands in every width comes first; a column more, and the metric's name, from `_MEDIUM` and `_WIDE`."""
    shown = [row for row in rows if row.kind is not RowKind.SUBTASK]
    padding = (0, 1) if width >= _MEDIUM else (0, 1, 0, 0)
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, padding=padding, pad_edge=width >= _MEDIUM)
    has_latents = len({row.latent for row in shown}) > 1
    for name in ("task", "latent") if has_latents else ("task",):
        table.add_column(name, overflow="fold", min_width=8 if width >= _NARROW else 6)
    numbers = ["items", "scores", "difference"] if width >= _NARROW else ["scores", "difference"]
    numbers += ["relative gain"] if width >= _MEDIUM else []
    numbers += ["detectable", "W/L/T", "p alone"] if width >= _WIDE else []
    for name in (*numbers, "p") if width >= _NARROW else numbers:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold", no_wrap=all(row.verdict for row in shown))
    for row in shown:
        table.add_row(*_cells(row, width, has_latents=has_latents))
    return table


def _cells(row: SummaryRow, width: int, *, has_latents: bool) -> list[str]:
    gain, _, ends = row.relative_gain.partition(" [")
    if row.relative_gain.startswith("left out"):
        gain, ends = "left out", ""
    cells = [
        f"{row.task}\n{row.metric}" if width >= _MEDIUM else row.task,
        *((row.latent,) if has_latents else ()),
        *((row.num_items,) if width >= _NARROW else ()),
        f"{row.baseline_score} → {row.latent_score}",
        row.difference if row.verdict is None else f"{row.difference}\n{row.interval}",
        *((f"{gain}\n[{ends}" if ends else gain,) if width >= _MEDIUM else ()),
        *((row.smallest_detectable, row.split, row.p_value) if width >= _WIDE else ()),
        *((row.p_corrected,) if width >= _NARROW else ()),
    ]
    return [*map(escape, cells), escape(row.remark) if row.verdict is None else _VERDICTS[row.verdict]]


def print_checks(result: GateResult) -> None:
    """Print a gate's checks, those that don't pass last, and its outcome on the last line."""
    table = Table(header_style="bold")
    for name in ("latent", "task", "rule", "found", "outcome"):
        table.add_column(name)
    for check in sorted(result.checks, key=lambda check: check.outcome is not Outcome.PASS):
        cells = (check.latent, check.task, check.rule, check.found, check.outcome.value)
        table.add_row(*(escape(one_line(cell)) for cell in cells))
    console = terminal.console(width=_PAPER)
    console.print(table)
    number = Counter(check.outcome for check in result.checks)
    tally = ", ".join(f"{number[outcome]} {outcome}" for outcome in Outcome if number[outcome])
    console.print(f"gate: {result.outcome} ({tally})", highlight=False)
