"""The thread that keeps a run's store up to date while the run runs: every two seconds, whatever is new.

A store that can't be reached stops no run: what is new waits here, and goes when it can. A run that another process has
taken over, or a fault of ours, is told to who runs it, by `check`. Knows no run.
"""

import queue
import threading
import time
from contextlib import suppress

from ft_eval.errors import RemoteError
from ft_eval.store.remote.lease import RemoteLease
from ft_eval.store.remote.push import Pusher

_SECONDS_BETWEEN_PUSHES = 2.0
_PUSHES_BETWEEN_LIVES = 5
_MAX_WAIT_SECONDS = 60.0
_LAST_TRIES = 3


class Uploader:
    """Pushes in the background from `start` to `finish`."""

    def __init__(self, pusher: Pusher, lease: RemoteLease) -> None:
        self._pusher, self._lease = pusher, lease
        self._ended = threading.Event()
        self._error: Exception | None = None
        self._notices: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; twice is fine."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="uploader", daemon=True)
            self._thread.start()

    def check(self) -> list[str]:
        """What is odd and new, a line each.

        Raises:
            StoreError: the run is another process's now, or the store is closed to us.
        """
        if self._error is not None:
            raise self._error
        notices = []
        with suppress(queue.Empty):
            while True:
                notices.append(self._notices.get_nowait())
        return notices

    def finish(self) -> None:
        """Stop the thread and push the rest, log and state too.

        Raises:
            RemoteError: the store can't be reached; the rest is kept here.
            StoreError: see `check`.
        """
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error
        for left in reversed(range(_LAST_TRIES)):
            try:
                self._push(is_live=True)
            except RemoteError:
                if not left:
                    raise
                time.sleep(_SECONDS_BETWEEN_PUSHES)
            else:
                return

    def _serve(self) -> None:
        wait, num_pushes = _SECONDS_BETWEEN_PUSHES, 0
        while not self._ended.wait(wait if num_pushes else 0.0):
            try:
                self._push(is_live=num_pushes % _PUSHES_BETWEEN_LIVES == 0)
            except RemoteError as error:
                if wait == _SECONDS_BETWEEN_PUSHES:
                    self._notices.put(f"{error.args[0].partition('; nothing')[0]}; answers are kept here until it can")
                wait = min(2 * wait, _MAX_WAIT_SECONDS)
            except Exception as error:  # noqa: BLE001 — who runs the run raises it
                self._error = error
                return
            else:
                if wait != _SECONDS_BETWEEN_PUSHES:
                    self._notices.put("the store can be reached again")
                wait = _SECONDS_BETWEEN_PUSHES
            num_pushes += 1

    def _push(self, *, is_live: bool) -> None:
        self._lease.beat()
        self._pusher.push()
        if is_live:
            self._pusher.push_live()
