"""What `ft-eval probe` does once its options are read: measure, print, write."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from rich.markup import escape
from rich.table import Table as RichTable

from ft_eval.cli.terminal import console
from ft_eval.errors import StoreError
from ft_eval.probe.enumeration import check_estimator
from ft_eval.probe.page import probe_page, synthetic_page, synthetic_table
from ft_eval.probe.probe import ProbeOptions, enumerate_text, probe_checkpoint
from ft_eval.probe.records import ProbeReport
from ft_eval.probe.synthetic import measure_synthetic
from ft_eval.probe.synthetic_training import KAPPAS_BITS, train_synthetic
from ft_eval.probe.tables import enumeration_table, headline, report_tables
from ft_eval.report.formats import one_line
from ft_eval.report.pages import Page, Table
from ft_eval.report.probe_page import write_probe_page
from ft_eval.store.codec import dump, load
from ft_eval.store.files import make_folder, read_bounded, write_atomically

_NUM_TRIALS = 2000
_CHECKED_DRAWS = (64, 4096)


def run_probe(options: ProbeOptions, folder: Path) -> None:
    """Measure a checkpoint; print tables; write probe.json and probe.html."""
    report = probe_checkpoint(options, lambda what: click.echo(f"{what} ...", err=True))
    for table in report_tables(report):
        _print(table)
    click.echo(headline(report))
    for note in report.notes:
        click.echo(f"note: {one_line(note)}", err=True)
    _write(folder, "probe", dump(report, versioned=True), probe_page(report))


def run_enumeration(options: ProbeOptions) -> None:
    """Sum over every Z of the first tokens of the first text, and hold the estimators against the sum."""
    table = enumerate_text(options)
    rng = np.random.default_rng(options.seed)
    checks = [
        check_estimator(table, rng, proposal=proposal, num_draws=num_draws, num_trials=_NUM_TRIALS)
        for proposal in ("prior", "posterior")
        for num_draws in _CHECKED_DRAWS
    ]
    _print(enumeration_table(table, checks))


def run_synthetic(folder: Path) -> None:
    """Train what is missing of the four models, sample, count; write synthetic.json and synthetic.html."""
    click.echo(f"training {len(KAPPAS_BITS)} models, two at a time; an interrupted training goes on ...", err=True)
    train_synthetic(folder, _say)
    result = measure_synthetic(folder)
    _print(synthetic_table(result))
    _write(folder, "synthetic", dump(result, versioned=True), synthetic_page(result))


def _say(kappa_bits: float, num_done: int) -> None:
    click.echo(f"κ = {kappa_bits:g} is trained: {num_done} of {len(KAPPAS_BITS)}", err=True)


def _write(folder: Path, name: str, json_line: str, page: Page) -> None:
    make_folder(folder)
    write_atomically(folder / f"{name}.json", [json_line.encode("ascii"), b"\n"])
    write_probe_page(page, folder / f"{name}.html")
    click.echo(str(folder / f"{name}.json"))
    click.echo(str(folder / f"{name}.html"))


def _print(table: Table) -> None:
    """One table to the console; every text is one line of visible characters, and no markup."""
    shown = RichTable(title=escape(one_line(table.caption)), title_justify="left", title_style="dim")
    for index, head in enumerate(table.heads):
        right = index > 0 and any(row[index].value is not None for row in table.rows)
        shown.add_column(escape(head), justify="right" if right else "left")
    for row in table.rows:
        shown.add_row(*(escape(one_line(f"{cell.text} {cell.note}".strip())) for cell in row))
    console().print(shown)


def read_probe_pages(folders: Sequence[Path]) -> tuple[Page, ...]:
    """The pages of the probes in these folders, to stand in a report.

    Raises:
        StoreError: a folder holds no probe.json, or one that can't be read.
    """
    pages = []
    for folder in folders:
        path = folder / "probe.json"
        if not path.is_file():
            raise StoreError(f"{path}: no such file; give the folder that `ft-eval probe` wrote")
        try:
            pages.append(probe_page(load(ProbeReport, read_bounded(path), versioned=True)))
        except StoreError as error:
            text = str(error)
            raise StoreError(text if str(path) in text else f"{path}: {text}") from None
    return tuple(pages)
