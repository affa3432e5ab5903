"""What a run leaves for who looks at it from outside: `run.log`, plain lines, and `status.json`, its state now.

    2026-01-31T12:00:00Z info: latent (prior) · gsm8k: 600 of 1319 requests, 41 tokens/s, about 17 min left

Neither may stop a run: where the disk does not take them, it goes on without. Text from outside is kept on its line.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ft_eval.records import Answer, Job
from ft_eval.run.labels import duration, label
from ft_eval.run.tally import Tally
from ft_eval.store.owner import Owner
from ft_eval.store.status import LOG_NAME, LiveStatus, write_live
from ft_eval.store.time_left import LiveJob, job_size

_SECONDS_BETWEEN_LINES = 60.0
_SECONDS_BETWEEN_STATES = 1.0


class RunLog:
    """The run's log: one write per line, at its end, shared by all processes that ever ran the run."""

    def __init__(self, folder: Path, echo: Callable[[str], None] | None = None) -> None:
        self._echo = echo
        self._fd = -1
        with suppress(OSError):
            self._fd = os.open(
                folder / LOG_NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644
            )

    def write(self, level: str, text: str) -> None:
        """Write a line of a level: `info`, `warning` or `error`; a text of several lines is several."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for part in text.split("\n"):
            line = f"{stamp} {level}: {''.join(char if char.isprintable() else ' ' for char in part)}"
            if self._fd >= 0:
                with suppress(OSError):
                    os.write(self._fd, f"{line}\n".encode("utf-8", "backslashreplace"))
            if self._echo is not None:
                self._echo(line)

    def close(self) -> None:
        """Close the file; twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Journal(Tally):
    """A listener that keeps the log: when a job begins, each minute of it, when it is done, and what is odd."""

    def __init__(self, log: RunLog, *, logs_answers: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._log = log
        self._logs_answers = logs_answers
        self._last = clock()

    def job_skipped(self, job: Job) -> None:
        """Say so."""
        self._log.write("info", f"{label(job)}: done before")

    def resumed(self, job: Job, num_answers: int) -> None:
        """Say how much of it was found."""
        super().resumed(job, num_answers)
        found = f", {num_answers} answers found" if num_answers else ""
        self._log.write("info", f"{label(job)}: begins{found}")

    def job_started(self, job: Job, num_requests: int) -> None:
        """Say how much is to do."""
        super().job_started(job, num_requests)
        self._log.write("info", f"{label(job)}: {num_requests} requests")

    def answered(self, job: Job, answer: Answer) -> None:
        """Say now and then how far it is; with `logs_answers`, each answer."""
        super().answered(job, answer)
        if self._logs_answers:
            num_tokens = answer.num_prompt_tokens + answer.num_generated_tokens
            self._log.write("info", f"{label(job)}: {answer.key}: {num_tokens} tokens, {answer.seconds:.3f} s")
        now = self.clock()
        if now - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = now
        for tally in self.open.values():
            left = tally.seconds_left(now)
            self._log.write(
                "info",
                f"{label(tally.job)}: {tally.num_answers} of {tally.num_requests} requests, "
                f"{tally.num_tokens / tally.seconds(now):,.0f} tokens/s"
                + ("" if left is None else f", about {duration(left)} left"),
            )

    def job_finished(self, job: Job) -> None:
        """Say what it took."""
        now, tally = self.clock(), self.open.get(job.id)
        took = "" if tally is None else f", {tally.num_answers} answers in {tally.seconds(now):.1f} s"
        super().job_finished(job)
        self._log.write("info", f"{label(job)}: done{took}")

    def noticed(self, text: str) -> None:
        """Say it."""
        self._log.write("warning", text)


class StatusFile(Tally):
    """A listener that keeps `status.json` a second old at most, while there is something to tell."""

    def __init__(self, folder: Path, owner: Owner, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._folder, self._owner = folder, owner
        self._paces: dict[str, float] = {}
        self._last = float("-inf")

    def resumed(self, job: Job, num_answers: int) -> None:
        """The job is under way."""
        super().resumed(job, num_answers)
        self._write()

    def job_started(self, job: Job, num_requests: int) -> None:
        """There is more to do."""
        super().job_started(job, num_requests)
        self._write()

    def answered(self, job: Job, answer: Answer) -> None:
        """There is less to do."""
        super().answered(job, answer)
        if self.clock() - self._last >= _SECONDS_BETWEEN_STATES:
            self._write()

    def job_finished(self, job: Job) -> None:
        """Its pace is what the next one of its task may take."""
        tally = self.open.get(job.id)
        if tally is not None and tally.num_answers and not tally.num_found:
            self._paces[job.task.name] = tally.seconds(self.clock()) / job_size(job)
        super().job_finished(job)
        self._write()

    def _write(self) -> None:
        self._last = now = self.clock()
        jobs = tuple(
            LiveJob(
                job_id=job_id,
                num_found=tally.num_found,
                num_requests=tally.num_requests,
                num_answers=tally.num_answers,
                num_tokens=tally.num_tokens,
                seconds=tally.seconds(now),
            )
            for job_id, tally in self.open.items()
        )
        updated_at = datetime.now(UTC).isoformat(timespec="seconds")
        write_live(
            self._folder,
            LiveStatus(owner=str(self._owner), updated_at=updated_at, jobs=jobs, paces=self._paces),
        )
