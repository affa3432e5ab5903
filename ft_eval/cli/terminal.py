"""Where tables and bars are drawn: rich's console, as the command line needs it. Knows nothing of what is drawn."""

import sys
from typing import NoReturn, TextIO

from rich.console import Console


class PipeConsole(Console):
    """A console whose reader may go away: that is a BrokenPipeError, as with any other output, and no exit of its own.

    rich ends the process with exit code 1 in its place, by its own hand.
    """

    def on_broken_pipe(self) -> NoReturn:
        """Go on with the error that rich has caught."""
        raise  # noqa: PLE0704 (rich calls this while it handles the error)


def console(*, width: int = 160, to_stderr: bool = False) -> PipeConsole:
    """Where tables go: as wide as the terminal, and where there is none, wide enough not to fold them."""
    stream = sys.stderr if to_stderr else sys.stdout
    return PipeConsole(stderr=to_stderr, width=None if is_terminal(stream) else width)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody looks at a stream; one that was closed (`2>&-`) is None."""
    return stream is not None and stream.isatty()
