"""Jobs in this process, one after another. A job starts when its outcome is asked for."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

JobT = TypeVar("JobT")
OutcomeT = TypeVar("OutcomeT")


class LocalExecutor:
    """The simplest `Executor`: completion order is the jobs' order."""

    def map(self, function: Callable[[JobT], OutcomeT], jobs: Iterable[JobT]) -> Iterator[OutcomeT]:
        """Yield `function(job)` for every job, in order; the next job waits until the outcome before it was taken."""
        for job in jobs:
            yield function(job)
