"""What a run tells while it runs. A protocol: the command line draws it, tests count it."""

from typing import Protocol

from ft_eval.records import Answer, Job


class Progress(Protocol):
    """Listens to a run."""

    def job_skipped(self, job: Job) -> None:
        """The job was done before."""

    def job_started(self, job: Job, num_requests: int) -> None:
        """The job's requests are about to be answered."""

    def answered(self, job: Job, answer: Answer) -> None:
        """One request was answered just now."""

    def resumed(self, job: Job, num_answers: int) -> None:
        """Answers of an earlier process were found and will not be computed again."""

    def job_finished(self, job: Job) -> None:
        """The job is on disk."""


class SilentProgress:
    """Tells nobody."""

    def job_skipped(self, job: Job) -> None:
        """Do nothing."""

    def job_started(self, job: Job, num_requests: int) -> None:
        """Do nothing."""

    def answered(self, job: Job, answer: Answer) -> None:
        """Do nothing."""

    def resumed(self, job: Job, num_answers: int) -> None:
        """Do nothing."""

    def job_finished(self, job: Job) -> None:
        """Do nothing."""
