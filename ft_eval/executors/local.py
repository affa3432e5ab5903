"""Work in this process, item after item, in the caller's thread: an outcome is told before the next is computed."""

from collections.abc import Callable, Iterable
from typing import Any

from ft_eval.closing import Closing
from ft_eval.executors.base import Emit, Work


class LocalExecutor(Closing):
    """The simplest `Executor`: one worker, which is this process.

    Args:
        make_state: makes what the worker keeps from item to item, when it is first needed.
    """

    num_workers = 1
    in_process = True

    def __init__(self, make_state: Callable[[], Any]) -> None:
        self._make_state = make_state
        self._state: Any = None

    def map(self, work: Work, items: Iterable[Any], on_outcome: Emit) -> None:
        """Do every item, in order. What an item raises comes out at once."""
        if self._state is None:
            self._state = self._make_state()
        for item in items:
            work.run(self._state, item, on_outcome)

    def close(self) -> None:
        """Let go of what the worker kept."""
        self._state = None
