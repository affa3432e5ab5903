"""The live display of a run: a bar with rate and time left in a terminal, plain lines elsewhere. To stderr."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import click
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column

from ft_eval.cli.now_and_then import NowAndThen
from ft_eval.cli.terminal import console, is_terminal
from ft_eval.records import Answer, Job, RunPlan
from ft_eval.run import Progress, SilentProgress
from ft_eval.run.labels import duration, label
from ft_eval.run.tally import Tally

_MEDIUM, _WIDE = 76, 110
"""Characters from which there is room for a bar and a rate, and for a clock too."""


class Style(Enum):
    """How much a run says."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"


@contextmanager
def live_progress(plan: RunPlan, style: Style) -> Iterator[Progress]:
    """The display that fits stderr: bars in a terminal, lines in a file or a pipe; less where so wished."""
    if style is Style.QUIET:
        yield Remarks()
        return
    if style is Style.VERBOSE:  # the log's own lines are shown
        yield SilentProgress()
        return
    if not is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
        yield LineProgress(plan)
        return
    terminal = console(to_stderr=True)
    with Bars(*_columns(terminal.width), console=terminal, refresh_per_second=5) as bars:
        yield BarProgress(plan, bars)


def _columns(width: int) -> tuple[ProgressColumn, ...]:
    """What stands in a line of so many characters: in every width the job, how far it is and the time left.

    A narrow one has no clock, a very narrow one no bar and no rate either; a long name is cut.
    """
    bar = (BarColumn(20 if width >= _WIDE else 10),) if width >= _MEDIUM else ()
    rate = (TextColumn("{task.fields[rate]}"),) if width >= _MEDIUM else ()
    clock = (TimeElapsedColumn(),) if width >= _WIDE else ()
    others = 30 + 17 * len(rate) + 21 * len(clock) + 11 * len(bar)
    name = Column(no_wrap=True, overflow="ellipsis", max_width=max(12, width - others))
    left = (TextColumn("left"), TimeRemainingColumn())
    return (
        SpinnerColumn(),
        TextColumn("{task.description}", table_column=name),
        *bar,
        MofNCompleteColumn(),
        *rate,
        *clock,
        *left,
    )


class Remarks(SilentProgress):
    """Only what is odd."""

    def noticed(self, text: str) -> None:
        """Say it on a line."""
        click.echo(f"warning: {text}", err=True)


class BarProgress(Tally):
    """A bar for the whole run's jobs, and one for the requests of each job under way."""

    def __init__(self, plan: RunPlan, bars: Bars) -> None:
        super().__init__()
        self._bars = bars
        self._total = bars.add_task("all jobs", total=len(plan.jobs), rate="jobs")
        self._rows: dict[str, TaskID] = {}

    def job_skipped(self, job: Job) -> None:
        """Count the job."""
        self._print(f"done before: {label(job)}")
        self._bars.advance(self._total)

    def resumed(self, job: Job, num_answers: int) -> None:
        """Say how much of the job was found."""
        super().resumed(job, num_answers)
        if num_answers:
            self._print(f"{label(job)}: {num_answers} answers found, they are not asked again")

    def job_started(self, job: Job, num_requests: int) -> None:
        """Open the job's bar, or make it longer."""
        super().job_started(job, num_requests)
        total = self.open[job.id].num_requests
        if job.id in self._rows:
            self._bars.update(self._rows[job.id], total=total)
        else:
            self._rows[job.id] = self._bars.add_task(escape(label(job)), total=total, rate="")

    def answered(self, job: Job, answer: Answer) -> None:
        """Move the job's bar, and its rate."""
        super().answered(job, answer)
        tally = self.open[job.id]
        rate = f"{tally.num_tokens / tally.seconds(self.clock()):,.0f} tokens/s"
        if job.id in self._rows:
            self._bars.update(self._rows[job.id], advance=1, rate=rate)

    def job_finished(self, job: Job) -> None:
        """Close the job's bar."""
        super().job_finished(job)
        if (row := self._rows.pop(job.id, None)) is not None:
            self._bars.remove_task(row)
        self._bars.advance(self._total)

    def noticed(self, text: str) -> None:
        """Say it above the bars."""
        self._print(f"warning: {text}")

    def _print(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)


class LineProgress(Tally):
    """A line per job, and one every quarter of a minute in between: for logs and pipes."""

    def __init__(self, plan: RunPlan) -> None:
        super().__init__()
        self._numbers = {job.id: number for number, job in enumerate(plan.jobs, start=1)}
        self._paces: dict[str, NowAndThen] = {}

    def job_skipped(self, job: Job) -> None:
        """Count the job."""
        self._say(job, "done before")

    def resumed(self, job: Job, num_answers: int) -> None:
        """Say how much of the job was found."""
        super().resumed(job, num_answers)
        if num_answers:
            self._say(job, f"{num_answers} answers found, they are not asked again")

    def job_started(self, job: Job, num_requests: int) -> None:
        """Say how much is to do."""
        super().job_started(job, num_requests)
        self._paces.setdefault(job.id, NowAndThen(clock=self.clock))
        self._say(job, f"{num_requests} requests")

    def answered(self, job: Job, answer: Answer) -> None:
        """Say where it stands, now and then."""
        super().answered(job, answer)
        if not self._paces.setdefault(job.id, NowAndThen(clock=self.clock)).is_due():
            return
        tally = self.open[job.id]
        left = tally.seconds_left(self.clock())
        rest = "" if left is None else f", about {duration(left)} left"
        self._say(job, f"{tally.num_answers} of {tally.num_requests} requests{rest}")

    def job_finished(self, job: Job) -> None:
        """Say that it is on disk."""
        tally = self.open.get(job.id)
        super().job_finished(job)
        self._say(job, "done" if tally is None else f"done in {tally.seconds(self.clock()):.1f} s")

    def noticed(self, text: str) -> None:
        """Say it on a line."""
        click.echo(f"warning: {text}", err=True)

    def _say(self, job: Job, what: str) -> None:
        click.echo(f"[{self._numbers[job.id]}/{len(self._numbers)}] {label(job)}: {what}", err=True)
