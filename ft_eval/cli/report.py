"""`ft-eval report`: from runs on disk to report.html and its tables."""

from pathlib import Path

import click


@click.command(short_help="Write report.html of one or more runs.")
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN]...")
@click.option(
    "--output-dir",
    "-o",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where to write; default: the run's folder.",
)
def report(runs: tuple[Path, ...], output_dir: Path | None) -> None:
    """Write report.html, and beside it scores.csv, scores.md, scores.tex and scores.json.

    RUN is a run's folder; without one, the latest run in or under this folder.
    """
    from ft_eval.errors import StoreError
    from ft_eval.report import build_report, write_report
    from ft_eval.store import RunStore, find_latest_run

    folders = list(runs)
    if not folders:
        latest = find_latest_run(Path.cwd())
        if latest is None:
            raise StoreError("no run in or under this folder; give a run's folder, or make one with `ft-eval run`")
        folders = [latest]
    built = build_report([RunStore.open(folder) for folder in folders])
    for path in write_report(built, output_dir or folders[0]):
        click.echo(str(path))
