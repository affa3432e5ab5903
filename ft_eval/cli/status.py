"""`ft-eval status`: where a run stands, while it runs and after."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ft_eval.cli.options import RunPlace, one_line

if TYPE_CHECKING:
    from ft_eval.store.remote.url import RunUrl
    from ft_eval.store.status import RunStatus
    from ft_eval.store.time_left import JobStatus


@click.command(short_help="Where a run stands: done, rate, time left, failures.")
@click.argument("run", required=False, type=RunPlace())
@click.option("--watch", is_flag=True, help="Show it again every two seconds until the run ends.")
def status(run: "Path | RunUrl | None", *, watch: bool) -> None:
    """Say where a run stands; RUN is its folder or address, by default the one that was last active here.

    It may be running, on this host or another one that shares the folder; nothing is written and no lock is taken.
    """
    from ft_eval.errors import StoreError
    from ft_eval.store import find_latest_run
    from ft_eval.store.remote.opening import folder_to_read
    from ft_eval.store.status import read_status

    place = run if run is not None else find_latest_run(Path())
    if place is None:
        raise StoreError("no run here (no run.json in ., */ or runs/*/); give the folder that `ft-eval run` wrote")
    _show(str(place), found := read_status(folder_to_read(place)))
    while watch and found.state == "running":
        time.sleep(2.0)
        _begin_again()
        _show(str(place), found := read_status(folder_to_read(place)))


def _begin_again() -> None:
    """In a terminal the next picture takes the last one's place; elsewhere it comes after a blank line."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        click.clear()
    else:
        click.echo()


def _show(name: str, found: "RunStatus") -> None:
    from ft_eval.run.labels import duration

    owner = f" by {found.owner}" if found.owner else ""
    click.echo(f"{one_line(name)}: {found.state}{owner}")
    for job in found.jobs:
        click.echo(f"  {one_line(_line(job))}")
    left = f", about {duration(found.seconds_left)} left" if found.seconds_left is not None else ""
    click.echo(f"{found.num_done} of {len(found.jobs)} jobs done{left}")
    if found.num_unscored:
        click.echo(f"{found.num_unscored} samples could not be scored")
    if found.num_log_problems:
        what = "1 warning or error" if found.num_log_problems == 1 else f"{found.num_log_problems} warnings and errors"
        click.echo(f"{what} in {found.path / 'run.log'}, the last of them:")
        for line in found.last_problems:
            click.echo(f"  {one_line(line)}")
    if found.state == "stopped":
        click.echo(f"continue with: {one_line(found.command)}")


def _line(status: "JobStatus") -> str:
    from ft_eval.run.labels import label

    name = label(status.job)
    if status.result is not None:
        result = status.result
        unscored = f", {result.num_unscored} unscored" if result.num_unscored else ""
        return f"{name}: done, {result.num_samples} samples{unscored}, {result.tokens_per_second:,.0f} tokens/s"
    if status.live is None:
        return f"{name}: {status.num_answers} answers kept" if status.num_answers else f"{name}: waiting"
    live = status.live
    rate = f", {live.requests_per_second:.1f}/s, {live.num_tokens / max(live.seconds, 1e-3):,.0f} tokens/s"
    found = f" ({live.num_found} found)" if live.num_found else ""
    return f"{name}: {live.num_answers} of {live.num_requests} requests{found}{rate if live.num_answers else ''}"
