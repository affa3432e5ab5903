"""What an executor is, and what it is given. Knows neither what the work is nor what comes of it.

map(work, items, on_outcome)      work: what all items have in common, sent to a worker once
                                  item: a part of it, done by one worker
                                  outcome: one of the things that an item gives, told the moment it is known
"""

from collections.abc import Callable, Hashable, Iterable
from types import TracebackType
from typing import Any, Protocol, Self

Emit = Callable[[Any], None]
"""Called with each outcome the moment it exists."""


class Work(Protocol):
    """Work that can be cut into items. It, its items and its outcomes go to other processes: plain, frozen data."""

    @property
    def affinity(self) -> Hashable:
        """Names what a worker has to load first; a worker that has it loaded is given such work first."""

    def run(self, state: Any, item: Any, emit: Emit) -> None:
        """Do one item in a worker, whose state it may use and alter."""


class Executor(Protocol):
    """Something that does work here or elsewhere. Use it as a context manager: its workers end with it."""

    @property
    def num_workers(self) -> int:
        """How many items are done at a time; work is best cut into a few times as many."""

    @property
    def in_process(self) -> bool:
        """Whether items are done in this process, one after another, in the caller's thread."""

    def map(self, work: Work, items: Iterable[Any], on_outcome: Emit) -> None:
        """Do every item; `on_outcome` is called in the caller's thread, in the order in which outcomes come.

        Items are taken from the iterable when a worker is free. An item whose worker is lost is done again by another,
        so an outcome may come twice. Several threads may call this at a time, where it is not `in_process`.

        Raises:
            ExecutorError: the workers are lost, or an item was lost with several of them.
            Exception: what an item raised; items that have not begun by then are not begun.
        """

    def close(self) -> None:
        """End the workers. Calls of `map` that other threads are in raise ExecutorError."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
