"""What an executor is. Knows neither what a job is nor what the function does with it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

JobT = TypeVar("JobT")
OutcomeT = TypeVar("OutcomeT")


class Executor(Protocol):
    """Something that applies a function to jobs, here or elsewhere."""

    def map(self, function: Callable[[JobT], OutcomeT], jobs: Iterable[JobT]) -> Iterator[OutcomeT]:
        """Yield `function(job)` for every job, in the order in which they are completed.

        An outcome names its job itself where that matters. An exception in the function comes out of the iteration;
        jobs that have not started by then are not started.
        """
        ...
