"""When it is time for another line: four times a minute, for displays that end in a file or a pipe. It says nothing."""

import time
from collections.abc import Callable

SECONDS_BETWEEN_LINES = 15.0


class NowAndThen:
    """Is due every quarter of a minute.

    Args:
        at_once: whether the first time is due already.
        clock: seconds of a steady clock.
    """

    def __init__(self, *, at_once: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = float("-inf") if at_once else clock()

    def is_due(self) -> bool:
        """Whether a line is due now; if so, the next one is due a quarter of a minute later."""
        now = self._clock()
        if now - self._last < SECONDS_BETWEEN_LINES:
            return False
        self._last = now
        return True
