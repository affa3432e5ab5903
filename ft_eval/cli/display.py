"""The live display of a run: a bar with rate and time left in a terminal, plain lines elsewhere. To stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from ft_eval.records import Answer, Job, RunPlan
from ft_eval.run import Progress

_SECONDS_BETWEEN_LINES = 15.0


def console() -> Console:
    """Where tables go: stdout, wide enough not to fold them when it is no terminal."""
    return Console() if sys.stdout.isatty() else Console(width=160)


@contextmanager
def live_progress(plan: RunPlan) -> Iterator[Progress]:
    """The display that fits stderr: bars in a terminal, lines in a file or a pipe."""
    if not sys.stderr.isatty():
        yield LineProgress(plan)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    rates = (TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Bars(*columns, *rates, console=Console(stderr=True), refresh_per_second=5) as bars:
        yield BarProgress(plan, bars)


def _label(job: Job) -> str:
    policy = f" ({job.latents.source})" if job.latents else ""
    return f"{job.checkpoint.name}{policy} · {job.task.name}"


class BarProgress:
    """Two bars: documents of the whole run, requests of the job at hand."""

    def __init__(self, plan: RunPlan, bars: Bars) -> None:
        self._bars = bars
        self._plan = plan
        self._total = bars.add_task("all jobs", total=len(plan.jobs), rate="jobs")
        self._job: TaskID | None = None
        self._num_tokens = 0
        self._started = time.monotonic()

    def job_skipped(self, job: Job) -> None:
        """Count the job."""
        self._bars.console.print(f"done before: {_label(job)}")
        self._bars.advance(self._total)

    def resumed(self, job: Job, num_answers: int) -> None:
        """Say how much of the job was found."""
        if num_answers:
            self._bars.console.print(f"{_label(job)}: {num_answers} answers found, they are not asked again")

    def job_started(self, job: Job, num_requests: int) -> None:
        """Open the job's bar."""
        self._close_bar()
        self._num_tokens, self._started = 0, time.monotonic()
        self._job = self._bars.add_task(_label(job), total=num_requests, rate="")

    def answered(self, job: Job, answer: Answer) -> None:
        """Move the job's bar, and its rate."""
        if self._job is None:
            return
        self._num_tokens += answer.num_prompt_tokens + answer.num_generated_tokens
        rate = self._num_tokens / max(time.monotonic() - self._started, 1e-3)
        self._bars.update(self._job, advance=1, rate=f"{rate:,.0f} tokens/s")

    def job_finished(self, job: Job) -> None:
        """Close the job's bar."""
        self._close_bar()
        self._bars.advance(self._total)

    def _close_bar(self) -> None:
        if self._job is not None:
            self._bars.remove_task(self._job)
            self._job = None


class LineProgress:
    """A line per job, and one every quarter of a minute in between: for logs and pipes."""

    def __init__(self, plan: RunPlan) -> None:
        self._num_jobs = len(plan.jobs)
        self._number = 0
        self._num_requests = 0
        self._num_answers = 0
        self._started = self._last = time.monotonic()

    def job_skipped(self, job: Job) -> None:
        """Count the job."""
        self._number += 1
        self._say(job, "done before")

    def resumed(self, job: Job, num_answers: int) -> None:
        """Say how much of the job was found."""
        self._number += 1
        if num_answers:
            self._say(job, f"{num_answers} answers found, they are not asked again")

    def job_started(self, job: Job, num_requests: int) -> None:
        """Say how much is to do."""
        self._num_requests, self._num_answers = num_requests, 0
        self._started = self._last = time.monotonic()
        self._say(job, f"{num_requests} requests")

    def answered(self, job: Job, answer: Answer) -> None:
        """Say where it stands, now and then."""
        self._num_answers += 1
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            left = (now - self._started) / self._num_answers * (self._num_requests - self._num_answers)
            self._say(job, f"{self._num_answers} of {self._num_requests} requests, about {left:.0f} s left")

    def job_finished(self, job: Job) -> None:
        """Say that it is on disk."""
        self._say(job, f"done in {time.monotonic() - self._started:.1f} s")

    def _say(self, job: Job, what: str) -> None:
        click.echo(f"[{self._number}/{self._num_jobs}] {_label(job)}: {what}", err=True)
