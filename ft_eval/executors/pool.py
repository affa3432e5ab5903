"""An executor over workers elsewhere: hands out items as workers get free, and hands on what comes back.

    callers of map ──▶ calls, each with items left ──▶ idle workers (one that has the call's affinity loaded first)
                   ◀── outcomes, an end or an error ◀── one thread that polls the crew

A lost worker's item is done again by another, and goes first. Knows no transport.
"""

import queue
import threading
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ft_eval.closing import Closing
from ft_eval.errors import ExecutorError
from ft_eval.executors.base import Emit, Work
from ft_eval.executors.crew import Crew, Emitted, Event, Failed, Finished, Joined, Lost, Task

MAX_LOSSES = 3
"""An item that is lost with this many workers is not given to another: it is likely what ends them."""
_POLL_SECONDS = 0.05


@dataclass(slots=True, eq=False)
class _Call:
    """A call of `map`. All but its inbox belongs to the pool, under its lock."""

    number: int
    work: Work
    items: Iterator[Any]
    inbox: "queue.SimpleQueue[tuple[Any, ...] | _End]" = field(default_factory=queue.SimpleQueue)
    again: deque[tuple[Any, int]] = field(default_factory=deque)
    """Items whose worker was lost, and how many have been."""
    is_drained: bool = False
    """Whether all items were taken."""
    num_out: int = 0
    """Items that workers are at."""


@dataclass(frozen=True, slots=True)
class _End:
    """The last thing in an inbox."""

    error: Exception | None = None


@dataclass(slots=True)
class _Seat:
    """A worker: what it has loaded, and what it is at."""

    affinity: Hashable = None
    at: tuple[_Call, Any, int] | None = None


class PoolExecutor(Closing):
    """An `Executor` whose workers are a crew. Several threads may call `map` at a time.

    Args:
        crew: the workers; the executor closes it.
    """

    in_process = False

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._lock = threading.Lock()
        self._calls: list[_Call] = []
        self._seats: dict[int, _Seat] = {}
        self._num_calls = 0
        self._end: ExecutorError | None = None
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="executor", daemon=True)
        self._thread.start()

    @property
    def num_workers(self) -> int:
        """How many items are done at a time, when all workers have joined."""
        return self._crew.num_workers

    def map(self, work: Work, items: Iterable[Any], on_outcome: Emit) -> None:
        """See `Executor.map`."""
        with self._lock:
            if self._end is not None:
                raise self._end
            self._num_calls += 1
            call = _Call(number=self._num_calls, work=work, items=iter(items))
            self._calls.append(call)
        try:
            while not isinstance(message := call.inbox.get(), _End):
                for outcome in message:
                    on_outcome(outcome)
        finally:
            with self._lock:
                if call in self._calls:
                    self._calls.remove(call)
        if message.error is not None:
            raise message.error

    def close(self) -> None:
        """End the workers; twice is fine."""
        self._is_closing.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _serve(self) -> None:
        """The pool's thread: until it is closed, or the crew is lost."""
        end = ExecutorError("the workers were ended; run the same command again to continue")
        try:
            while not self._is_closing.is_set():
                with self._lock:
                    self._hand_out()
                events = self._crew.poll(_POLL_SECONDS)
                with self._lock:
                    for event in events:
                        self._hear(event)
        except ExecutorError as error:
            end = error
        except Exception as error:  # noqa: BLE001 — a bug of ours must not leave callers waiting: it is their cause
            end = ExecutorError(f"the executor failed: {error!r}")
            end.__cause__ = error
        with self._lock:
            self._end = end
            for call in self._calls:
                call.inbox.put(_End(end))
        self._crew.close()

    def _hand_out(self) -> None:
        idle = [(number, seat) for number, seat in self._seats.items() if seat.at is None]
        for number, seat in idle:
            open_calls = [call for call in self._calls if call.again or not call.is_drained]
            if not open_calls:
                return
            for call in sorted(open_calls, key=lambda call: call.work.affinity != seat.affinity):  # oldest first
                taken = self._take(call)
                if taken is not None:
                    seat.affinity, seat.at = call.work.affinity, (call, *taken)
                    call.num_out += 1
                    self._crew.give(number, Task(call=call.number, work=call.work, item=taken[0]))
                    break

    def _take(self, call: _Call) -> tuple[Any, int] | None:
        """A call's next item, and how often it was lost. A call without any left may end here."""
        if call.again:
            return call.again.popleft()
        if not call.is_drained:
            for item in call.items:
                return item, 0
            call.is_drained = True
            self._end_if_done(call)
        return None

    def _hear(self, event: Event) -> None:
        if isinstance(event, Joined):
            self._seats[event.worker] = _Seat()
            return
        seat = self._seats.get(event.worker)
        if isinstance(event, Lost):
            self._seats.pop(event.worker, None)
        if seat is None or seat.at is None:
            return
        call, item, num_losses = seat.at
        if isinstance(event, Emitted):
            call.inbox.put(event.outcomes)
            return
        seat.at = None
        call.num_out -= 1
        if isinstance(event, Finished):
            self._end_if_done(call)
        elif isinstance(event, Failed):
            self._finish(call, event.error)
        elif num_losses + 1 >= MAX_LOSSES:
            self._finish(call, ExecutorError(f"the same work ended {MAX_LOSSES} workers, the last: {event.reason}"))
        else:
            call.again.append((item, num_losses + 1))

    def _end_if_done(self, call: _Call) -> None:
        if call.is_drained and not call.again and not call.num_out:
            self._finish(call, None)

    def _finish(self, call: _Call, error: Exception | None) -> None:
        if call in self._calls:
            self._calls.remove(call)
            self._crew.forget(call.number)
            call.inbox.put(_End(error))
