"""`ft-eval report`: from runs on disk to report.html and its tables, or to a table in the terminal."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ft_eval.cli.options import Number, RunPlace, parse_names
from ft_eval.cli.paths import PATH
from ft_eval.cli.planning import read_registration

if TYPE_CHECKING:  # heavy: loaded when a command runs
    from ft_eval.report.pages import Page
    from ft_eval.store.remote.url import RunUrl


@click.command(short_help="Write report.html of one or more runs.")
@click.argument("runs", nargs=-1, type=RunPlace(), metavar="[RUN]...")
@click.option("--output-dir", "-o", type=PATH, metavar="DIR", help="Where to write; default: the run's folder.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "text"]),
    default="html",
    show_default=True,
    help="html: write the files. text: print the verdicts and write nothing.",
)
@click.option("--primary", multiple=True, metavar="A,B", help="The tasks and groups that the verdict is about.")
@click.option(
    "--checkpoints",
    "checkpoints_file",
    type=PATH,
    metavar="FILE",
    help="A checkpoints.toml: its `primary` is taken where --primary is not given.",
)
@click.option(
    "--margin",
    type=Number(low=0.0),
    metavar="POINTS",
    help="Differences inside ±POINTS make no practical difference: what is shown to be inside is called equivalent.",
)
@click.option("--plan", "plan_file", type=PATH, metavar="FILE", help="A plan to hold the runs to; default: their own.")
@click.option(
    "--reference",
    type=click.Choice(["paper"]),
    help="Published figures to stand beside your own: those of the paper that a stored source confirms.",
)
@click.option(
    "--unpaired",
    is_flag=True,
    help="Instead of refusing what differs between both sides: leave it out, or compare both as samples of their own.",
)
@click.option(
    "--probe",
    "probes",
    multiple=True,
    type=PATH,
    metavar="DIR",
    help="A folder that `ft-eval probe` wrote: its results stand in the section on Z; repeatable.",
)
@click.option(
    "--eee-samples",
    is_flag=True,
    help="Write every sample in Every Eval Ever's instance-level format too: as large as the runs.",
)
def report(  # noqa: PLR0917 — click passes every option by name
    runs: "tuple[Path | RunUrl, ...]",
    output_dir: Path | None,
    form: str,
    primary: tuple[str, ...],
    checkpoints_file: Path | None,
    margin: float | None,
    plan_file: Path | None,
    reference: str | None,
    unpaired: bool,
    probes: tuple[Path, ...],
    eee_samples: bool,
) -> None:
    """Write report.html, and beside it the scores in five formats and all samples as Parquet.

    RUN is a run's folder, or its address (s3://bucket/run); without one, the latest run in or under this folder.
    """
    from ft_eval.config import load_checkpoints
    from ft_eval.report import Terms, build_report, recorded_runs, write_report
    from ft_eval.store import RunStore
    from ft_eval.store.remote.opening import folder_to_read

    names = parse_names(primary)
    if not names and checkpoints_file is not None:
        names = load_checkpoints(checkpoints_file).primary
    places = list(runs) or [latest_run()]
    folders = [folder_to_read(place) for place in places]
    terms, plan = Terms(primary=names, margin_points=margin, unpaired=unpaired), read_registration(plan_file)
    pages = _probe_pages(probes)
    stores = [RunStore.open(folder) for folder in folders]
    if form == "text":
        from ft_eval.cli.verdicts import print_verdicts

        print_verdicts(build_report(stores, terms=terms, registration=plan, reference=reference or ""))
        return
    target = output_dir or folders[0]
    with recorded_runs(stores, target / "samples.parquet") as recorded:
        built = build_report(recorded, terms=terms, registration=plan, reference=reference or "")
    built = replace(built, probes=pages)
    written = [*write_report(built, target, stores if eee_samples else ()), target / "samples.parquet"]
    for line in written if output_dir is not None else _delivered(places[0], written):
        click.echo(str(line))


def _delivered(place: "Path | RunUrl", written: list[Path]) -> list[str]:
    """Where the files of a report are, now that they lie beside their run; those of an address are sent there."""
    from ft_eval.store.remote.opening import send

    return [str(path) for path in written] if isinstance(place, Path) else send(place, written)


def latest_run() -> Path:
    """The latest run in or under this folder.

    Raises:
        StoreError: there is none.
    """
    from ft_eval.errors import StoreError
    from ft_eval.store import find_latest_run

    latest = find_latest_run(Path.cwd())
    if latest is None:
        raise StoreError("no run in or under this folder; give a run's folder, or make one with `ft-eval run`")
    return latest


def _probe_pages(folders: tuple[Path, ...]) -> "tuple[Page, ...]":
    """Without a folder, nothing of the probe is loaded."""
    if not folders:
        return ()
    from ft_eval.cli.probing import read_probe_pages

    return read_probe_pages(folders)
