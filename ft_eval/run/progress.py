"""What a run tells while it runs. A protocol: the command line draws it, a log and a status file keep it, tests count.

Several jobs may be under way at once; a listener is never called by two threads at a time.
"""

import threading
from collections.abc import Callable
from typing import Protocol

from ft_eval.records import Answer, Job


class Progress(Protocol):
    """Listens to a run."""

    def job_skipped(self, job: Job) -> None:
        """The job was done before."""

    def resumed(self, job: Job, num_answers: int) -> None:
        """The job begins; so many answers of an earlier process were found and will not be computed again."""

    def job_started(self, job: Job, num_requests: int) -> None:
        """So many more of the job's requests are about to be answered; a job may ask several times."""

    def answered(self, job: Job, answer: Answer) -> None:
        """One request was answered just now."""

    def job_finished(self, job: Job) -> None:
        """The job is on disk."""

    def noticed(self, text: str) -> None:
        """Something is odd and the run goes on: a damaged file was set aside, a batch had to shrink."""


class SilentProgress:
    """Tells nobody."""

    def job_skipped(self, job: Job) -> None:
        """Do nothing."""

    def resumed(self, job: Job, num_answers: int) -> None:
        """Do nothing."""

    def job_started(self, job: Job, num_requests: int) -> None:
        """Do nothing."""

    def answered(self, job: Job, answer: Answer) -> None:
        """Do nothing."""

    def job_finished(self, job: Job) -> None:
        """Do nothing."""

    def noticed(self, text: str) -> None:
        """Do nothing."""


class Relay:
    """Passes on all that it is told; to whom, and how, is its heirs' matter."""

    def _tell(self, what: Callable[[Progress], None]) -> None:
        raise NotImplementedError

    def job_skipped(self, job: Job) -> None:
        """Pass it on."""
        self._tell(lambda listener: listener.job_skipped(job))

    def resumed(self, job: Job, num_answers: int) -> None:
        """Pass it on."""
        self._tell(lambda listener: listener.resumed(job, num_answers))

    def job_started(self, job: Job, num_requests: int) -> None:
        """Pass it on."""
        self._tell(lambda listener: listener.job_started(job, num_requests))

    def answered(self, job: Job, answer: Answer) -> None:
        """Pass it on."""
        self._tell(lambda listener: listener.answered(job, answer))

    def job_finished(self, job: Job) -> None:
        """Pass it on."""
        self._tell(lambda listener: listener.job_finished(job))

    def noticed(self, text: str) -> None:
        """Pass it on."""
        self._tell(lambda listener: listener.noticed(text))


class Listeners(Relay):
    """Tells several, in order."""

    def __init__(self, *listeners: Progress) -> None:
        self._listeners = listeners

    def _tell(self, what: Callable[[Progress], None]) -> None:
        for listener in self._listeners:
            what(listener)


class OneAtATime(Relay):
    """Tells one, who is never told two things at once."""

    def __init__(self, listener: Progress) -> None:
        self._listener = listener
        self._lock = threading.Lock()

    def _tell(self, what: Callable[[Progress], None]) -> None:
        with self._lock:
            what(self._listener)
