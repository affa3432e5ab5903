"""What a signal does to a run: the first one ends it in order, the second one at once.

A cluster's scheduler sends SIGTERM some seconds before SIGKILL; a person presses Ctrl-C. Either way no new work is
begun, what is answered is flushed, and the exit code says which signal it was: 128 and its number.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end. No Exception, so that no handler of mistakes takes it for one."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Within this context the first SIGTERM or SIGINT raises `Stopped`, and the next one ends the process.

    A signal that was ignored when the process began, as SIGINT is in the background of a script, stays ignored. In a
    forked child the signals do what they do by default.
    """
    process, asked = os.getpid(), False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if os.getpid() != process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if asked:
            os._exit(128 + number)  # what is on disk is whole at every instant
        asked = True
        raise Stopped(number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number] or signal.SIG_DFL)
