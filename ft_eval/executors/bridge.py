"""A crew in a process of its own, for libraries that take their process down with them. Knows no such library by name.

Ray ends the process that speaks to it when its cluster is lost, and prints as it likes. Here it ends a child, whose
output goes to a file; the run gets one clear line and keeps what it has.
"""

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ft_eval.errors import ExecutorError
from ft_eval.executors.crew import Crew, Event, Task

_START_SECONDS = 180.0
_POLL_SECONDS = 0.05
_context = multiprocessing.get_context("spawn")


class BridgedCrew:
    """A `Crew` whose real one is in a child process.

    Args:
        make_crew: makes the real one, in the child; it is sent there.
        name: of what is bridged, for error lines.

    Raises:
        ExecutorError: the real crew can't be had.
    """

    def __init__(self, make_crew: Callable[[], Crew], name: str) -> None:
        self._name = name
        handle, path = tempfile.mkstemp(prefix="ft-eval-workers-", suffix=".log")
        os.close(handle)
        self._log = Path(path)
        self._pipe, theirs = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(theirs, path, make_crew), daemon=True)
        self._process.start()
        theirs.close()
        self._known: dict[int, int] = {}
        """Calls whose work is over there."""
        try:
            found = self._receive() if self._pipe.poll(_START_SECONDS) else ExecutorError(f"{name} does not answer")
        except ExecutorError:
            self.close()
            raise
        if isinstance(found, Exception):
            self.close()
            raise found
        self.num_workers = int(found)

    def give(self, worker: int, task: Task) -> None:
        """See `Crew.give`."""
        work = None if task.call in self._known else task.work
        self._known[task.call] = task.call
        self._send(("give", worker, task.call, work, task.item))

    def poll(self, seconds: float) -> Sequence[Event]:
        """See `Crew.poll`."""
        if not self._pipe.poll(seconds):
            return ()
        found = self._receive()
        if isinstance(found, Exception):
            raise found
        return tuple(found)

    def forget(self, call: int) -> None:
        """See `Crew.forget`."""
        if self._known.pop(call, None) is not None:
            self._send(("forget", call))

    def close(self) -> None:
        """See `Crew.close`."""
        self._send(("close",))
        self._process.join(timeout=10)
        self._process.kill()
        self._process.join()
        self._pipe.close()
        self._log.unlink(missing_ok=True)

    def _send(self, message: tuple[Any, ...]) -> None:
        with suppress(OSError):  # its end is heard in `poll`
            self._pipe.send(message)

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError):
            raise ExecutorError(
                f"{self._name} is lost ({self._last_words()}); nothing answered is lost: start it again, "
                "and run the same command to continue"
            ) from None

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
            return next((line[:200] for line in reversed(lines) if line.strip()), "it said nothing")
        return "it said nothing"


def _serve(pipe: Connection, log: str, make_crew: Callable[[], Crew]) -> None:
    """The child's life: until it is told to close, or nobody is there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    crew: Crew | None = None
    try:
        crew = make_crew()
        pipe.send(crew.num_workers)
        works: dict[int, Any] = {}
        while _obey(pipe, crew, works):
            if events := tuple(crew.poll(_POLL_SECONDS)):
                pipe.send(events)
    except ExecutorError as error:
        with suppress(OSError):
            pipe.send(error)
    except (EOFError, OSError):
        pass
    if crew is not None:
        crew.close()


def _obey(pipe: Connection, crew: Crew, works: dict[int, Any]) -> bool:
    """Do all that was said; False at the end."""
    while pipe.poll():
        kind, *said = pipe.recv()
        if kind == "close":
            return False
        if kind == "forget":
            works.pop(said[0], None)
            crew.forget(said[0])
        else:
            worker, call, work, item = said
            works.setdefault(call, work)
            crew.give(worker, Task(call=call, work=works[call], item=item))
    return True
