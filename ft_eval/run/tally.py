"""How far each job under way is: the one count that display, log and status file share. Its clock is steady."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from ft_eval.records import Answer, Job
from ft_eval.run.progress import SilentProgress


@dataclass(slots=True)
class JobTally:
    """One job under way."""

    job: Job
    started: float
    num_found: int = 0
    num_requests: int = 0
    num_answers: int = 0
    num_tokens: int = 0

    def seconds(self, now: float) -> float:
        """Since it began; never zero, so that it can be divided by."""
        return max(now - self.started, 1e-3)

    def seconds_left(self, now: float) -> float | None:
        """At the pace so far; None before the first answer."""
        if not self.num_answers:
            return None
        return self.seconds(now) / self.num_answers * (self.num_requests - self.num_answers)


class Tally(SilentProgress):
    """Counts; a listener that others build on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.open: dict[str, JobTally] = {}
        """Jobs under way, by id."""

    def resumed(self, job: Job, num_answers: int) -> None:
        """The job begins."""
        self._of(job).num_found = num_answers

    def job_started(self, job: Job, num_requests: int) -> None:
        """More is to do."""
        self._of(job).num_requests += num_requests

    def answered(self, job: Job, answer: Answer) -> None:
        """One is done."""
        tally = self._of(job)
        tally.num_answers += 1
        tally.num_tokens += answer.num_prompt_tokens + answer.num_generated_tokens

    def job_finished(self, job: Job) -> None:
        """It is under way no more."""
        self.open.pop(job.id, None)

    def _of(self, job: Job) -> JobTally:
        return self.open.setdefault(job.id, JobTally(job=job, started=self.clock()))
