"""Workers elsewhere, as a pool sees them: it gives them items and hears what became of them. Knows no transport."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ft_eval.executors.base import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One item for one worker."""

    call: int
    """Which call of `map` it is of."""
    work: Work
    item: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A worker is there, and idle."""

    worker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """A worker has outcomes of its item."""

    worker: int
    outcomes: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A worker has done its item, and is idle."""

    worker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A worker's item raised; the worker is idle."""

    worker: int
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A worker is gone, and with it what it had not yet told. Its number never comes again."""

    worker: int
    reason: str


Event = Joined | Emitted | Finished | Failed | Lost


class Crew(Protocol):
    """Workers elsewhere. One thread at a time uses it."""

    @property
    def num_workers(self) -> int:
        """How many there are when all have joined."""

    def give(self, worker: int, task: Task) -> None:
        """Have an idle worker do an item. That the worker is gone is told as an event."""

    def poll(self, seconds: float) -> Sequence[Event]:
        """What happened since, or within that time.

        Raises:
            ExecutorError: nothing will ever happen again: the crew as a whole is lost.
        """

    def forget(self, call: int) -> None:
        """A call is over: its work is not sent again."""

    def close(self) -> None:
        """End the workers, whatever they are at."""
