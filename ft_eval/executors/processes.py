"""Workers that are processes of this machine, each with a state of its own.

What goes between them is pickled by multiprocessing, over pipes that only they have: our own records, both ways.
"""

import multiprocessing
import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ft_eval.errors import ExecutorError, FtEvalError
from ft_eval.executors.crew import Emitted, Event, Failed, Finished, Joined, Lost, Task

_SECONDS_BETWEEN_REPORTS = 0.2
_MAX_LOSSES = 20
"""More processes than this are not started anew: something on the machine ends them."""
_THREADS = "OMP_NUM_THREADS"
_context = multiprocessing.get_context("spawn")


class ProcessCrew:
    """A `Crew` of processes. One that dies is replaced.

    Args:
        make_state: makes a worker's state, in the worker; it is sent there.
        num_workers: how many.
        num_threads: of each; None leaves them what they take.
    """

    def __init__(self, make_state: Callable[[], Any], num_workers: int, *, num_threads: int | None = None) -> None:
        self.num_workers = num_workers
        self._make_state = make_state
        self._num_threads = num_threads
        self._workers: dict[int, tuple[BaseProcess, Connection]] = {}
        self._told: dict[int, int] = {}
        """Per worker, the call whose work it has: that of its last item."""
        self._num_started = 0
        self._events: list[Event] = []
        for _ in range(num_workers):
            self._start()

    def give(self, worker: int, task: Task) -> None:
        """See `Crew.give`."""
        work = None if self._told.get(worker) == task.call else task.work
        self._told[worker] = task.call
        with suppress(OSError):  # its end is heard in `poll`
            self._workers[worker][1].send((task.call, work, task.item))

    def poll(self, seconds: float) -> Sequence[Event]:
        """See `Crew.poll`."""
        numbers = {connection: number for number, (_, connection) in self._workers.items()}
        for ready in wait(list(numbers), timeout=0 if self._events else seconds):
            assert isinstance(ready, Connection), "only pipes are waited for"
            try:
                self._events.append(ready.recv())
            except (EOFError, OSError):
                self._lose(numbers[ready])
        events, self._events = self._events, []
        return events

    def forget(self, call: int) -> None:
        """See `Crew.forget`."""
        del call  # a worker keeps one work, until it is given another

    def close(self) -> None:
        """See `Crew.close`."""
        for process, connection in self._workers.values():
            connection.close()
            process.kill()
        for process, _ in self._workers.values():
            process.join()
        self._workers.clear()

    def _start(self) -> None:
        number = self._num_started
        self._num_started += 1
        ours, theirs = _context.Pipe()
        with _threads(self._num_threads):
            process = _context.Process(target=serve, args=(theirs, number, self._make_state), daemon=True)
            process.start()
        theirs.close()
        self._workers[number] = process, ours

    def _lose(self, number: int) -> None:
        process, connection = self._workers.pop(number)
        self._told.pop(number, None)
        connection.close()
        process.join(timeout=5)
        self._events.append(Lost(worker=number, reason=f"process {process.pid} ended with code {process.exitcode}"))
        if self._num_started > _MAX_LOSSES + self.num_workers:
            raise ExecutorError(f"{_MAX_LOSSES} workers died, the last with code {process.exitcode}; is there memory?")
        self._start()


def serve(connection: Connection, number: int, make_state: Callable[[], Any]) -> None:
    """A worker's life: until the pipe to those who give it work is closed, or breaks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the process that began all this
    works: dict[int, Any] = {}
    state: Any = None

    def tell(event: Event) -> None:
        try:
            connection.send(event)
        except OSError:  # nobody listens any more
            os._exit(0)

    tell(Joined(worker=number))
    with suppress(EOFError, OSError):
        while True:
            call, work, item = connection.recv()
            works = {call: works[call] if work is None else work}
            try:
                state = make_state() if state is None else state
                for outcomes in batches(works[call], state, item):
                    tell(Emitted(worker=number, outcomes=outcomes))
            except Exception as error:  # noqa: BLE001 — whoever asked raises it
                tell(Failed(worker=number, error=sendable(error)))
            else:
                tell(Finished(worker=number))


def sendable(error: Exception) -> Exception:
    """An exception as it can be told elsewhere, with its traceback as a note where it is no mistake of the user's."""
    if not isinstance(error, FtEvalError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 — what was pickled one call before
    except Exception:  # noqa: BLE001 — whatever an exception's own methods raise
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def batches(work: Any, state: Any, item: Any) -> Iterator[tuple[Any, ...]]:
    """An item's outcomes, told a few times a second while it is done in a thread. Raises what the item raises."""
    outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work.run(state, item, outcomes.put)
        except BaseException as error:  # noqa: BLE001 — raised below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_SECONDS_BETWEEN_REPORTS)
        if found := _drain(outcomes):
            yield found
    if found := _drain(outcomes):  # it may have ended before it was looked at
        yield found
    if errors:
        raise errors[0]


def _drain(outcomes: "queue.SimpleQueue[Any]") -> tuple[Any, ...]:
    found = []
    with suppress(queue.Empty):
        while True:
            found.append(outcomes.get_nowait())
    return tuple(found)


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """What a process that is started inside has as its number of threads: it is read once, when libraries load."""
    before = os.environ.get(_THREADS)
    if number is not None:
        os.environ[_THREADS] = str(number)
    try:
        yield
    finally:
        if number is not None:
            os.environ.pop(_THREADS)
            if before is not None:
                os.environ[_THREADS] = before
