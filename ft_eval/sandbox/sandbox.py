"""The sandbox: a context manager that runs thousands of unread programs, one confined process each.

    with Sandbox() as sandbox:
        result = sandbox.run_calls(Calls(program=…, entry_point="add", inputs=(encode([1, 2]),)), judge)

Expected values stay on this side: `judge` sees each answer as it comes and stops the program at the first wrong one. A
failure of the sandbox itself is retried once on a fresh server and then raised; it is never an outcome.
"""

import os
import threading
from dataclasses import replace
from types import TracebackType
from typing import Self

from ft_eval.errors import SandboxError
from ft_eval.sandbox.boxes import Box, open_box
from ft_eval.sandbox.execution import Judge
from ft_eval.sandbox.records import Answer, Calls, ExecutionResult, SandboxSettings, Tier
from ft_eval.sandbox.server import ServerError
from ft_eval.sandbox.tiers import start_box

_NUM_ATTEMPTS = 2


class Sandbox:
    """One warm server and its tier. Safe to share between threads (programs take turns) and to abandon in a fork."""

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self._settings = settings or SandboxSettings()
        self._lock = threading.Lock()
        self._server: Box | None = None
        self._owner_pid = os.getpid()
        self._tier: Tier | None = None
        self._description = ""
        self._is_stopped = False

    def __enter__(self) -> Self:
        """Choose the tier, start the server, probe it. Raises SandboxError when nothing safe is to be had."""
        self._owner_pid, self._is_stopped = os.getpid(), False
        self._server, self._tier, self._description = start_box(self._settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the server and whatever it runs."""
        self.close()

    @property
    def tier(self) -> Tier:
        """The tier in use. Raises SandboxError before the sandbox is entered."""
        if self._tier is None:
            raise SandboxError("the sandbox is not open: use it in a with statement")
        return self._tier

    @property
    def description(self) -> str:
        """One line for the run's record, such as `ns: namespaces+landlock 7+seccomp+rlimits; probe 9/9; …`."""
        return self._description

    def run_calls(self, calls: Calls, judge: Judge | None = None) -> ExecutionResult:
        """Run a program and its calls, stopping at the first answer the judge refuses.

        Without a judge every answer is kept and returned. A program that the system killed is run once more: it may
        have paid for the memory of others. Raises SandboxError when the program could not be tried, and
        ValueError where there is nothing to call: that would prove nothing.
        """
        if not calls.inputs:
            raise ValueError("a program with no calls to make proves nothing")
        tier = self.tier
        if os.getpid() != self._owner_pid:
            raise SandboxError("the sandbox belongs to another process: open one in each process")
        with self._lock:
            reason = ""
            for _ in range(_NUM_ATTEMPTS):
                try:
                    result = self._attempt(tier, calls, judge)
                    return self._attempt(tier, calls, judge) if result.was_killed else result
                except ServerError as error:
                    reason = str(error)
                    self._discard()
                except BaseException:
                    self._discard()
                    raise
        raise SandboxError(f"the {tier} sandbox failed twice in a row and nothing was scored: {reason}")

    def stop(self) -> None:
        """From any thread: end what runs now. `run_calls` raises SandboxError from now on; `close` it all the same."""
        self._is_stopped = True
        server = self._server
        if server is not None and os.getpid() == self._owner_pid:
            server.kill()

    def close(self) -> None:
        """End the server and whatever it runs. Safe to call twice, and in a forked process, which owns neither."""
        if os.getpid() == self._owner_pid:
            self._discard()
        elif self._server is not None:
            self._server.abandon()
        self._tier = None

    def _attempt(self, tier: Tier, calls: Calls, judge: Judge | None) -> ExecutionResult:
        if self._is_stopped:
            raise SandboxError("the sandbox was stopped")
        if self._server is None or not self._server.is_alive:
            self._discard()
            self._server = open_box(tier)
        kept: list[Answer] = []

        def keep(answer: Answer) -> bool:
            kept.append(answer)
            return True

        result, is_fit = self._server.run(calls, judge or keep)
        if not is_fit:
            self._discard()
        return result if judge else _with_answers(result, kept)

    def _discard(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


def _with_answers(result: ExecutionResult, answers: list[Answer]) -> ExecutionResult:
    return replace(result, answers=tuple(answers))
