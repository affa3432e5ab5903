"""A box of any tier behind one face: something that runs a program to its end. Chooses nothing and judges nothing."""

from typing import Protocol

from ft_eval.sandbox.container import ContainerServer
from ft_eval.sandbox.execution import Judge, execute
from ft_eval.sandbox.records import Calls, ExecutionResult, Tier
from ft_eval.sandbox.server import BoxServer, ServerError


class Box(Protocol):
    """A warm server of one tier."""

    walls: str
    """What it is made of, for the record."""
    versions: str
    """Python's inside, and NumPy's."""

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""

    def run(self, calls: Calls, judge: Judge) -> tuple[ExecutionResult, bool]:
        """A program to its end: the result, and whether the box is fit for another one. Raises ServerError."""

    def kill(self) -> None:
        """End it now, from any thread; `close` it all the same."""

    def close(self) -> None:
        """End it and whatever it runs. Safe to call twice."""

    def abandon(self) -> None:
        """Let go of it in a forked process that does not own it."""


class LocalBox(BoxServer):
    """A fork server on this machine."""

    def run(self, calls: Calls, judge: Judge) -> tuple[ExecutionResult, bool]:
        """See `execution.execute`."""
        return execute(self, calls, judge)


def open_box(tier: Tier) -> Box:
    """A fresh box. Raises ServerError when this tier can't be had."""
    try:
        return ContainerServer() if tier is Tier.DOCKER else LocalBox(tier)
    except OSError as error:  # no descriptors, processes or room are left
        raise ServerError(f"it can't be started: {error}") from error
