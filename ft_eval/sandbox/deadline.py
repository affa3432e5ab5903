"""When a program has had its time: CPU time, by the kernel's own clock for that process, and wall time as well.

A busy machine takes wall time from a program, not CPU time, so a verdict by CPU time does not depend on the neighbours.
A program that sleeps uses no CPU: it is given `wall_factor` times its seconds on the wall, not counting what it spent
ready to run and waiting for its turn. Knows nothing of answers.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ft_eval.sandbox.records import Limits

_SHORTEST_WAIT_SECONDS = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """The two clocks of a process at one moment, in seconds."""

    cpu: float
    wall: float
    """Without the time spent waiting for a processor."""

    @classmethod
    def of(cls, pid: int, starved_seconds: float) -> Self:
        """Read the clocks; a process that is gone has used no CPU, and its pipe says the rest."""
        now = time.monotonic()
        try:
            # The kernel's CPU clock of another process (MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED).
            return cls(cpu=time.clock_gettime(~pid << 3 | 2), wall=now - starved_seconds)
        except OSError:
            return cls(cpu=0.0, wall=now)


class Deadline:
    """The clock of one program: one span after another (load and call 0, call 1, …), and all of them together."""

    def __init__(self, pid: int, limits: Limits, reference_seconds: Sequence[float]) -> None:
        self._pid, self._limits, self._reference_seconds = pid, limits, reference_seconds
        self._total_seconds = max(limits.total_seconds, limits.reference_factor * sum(reference_seconds))
        self._span_seconds = limits.load_seconds + self._call_seconds(0)  # loading sends nothing of its own
        self._starved_seconds = _starved_seconds(pid)
        self._start = self._span_start = _Reading.of(pid, self._starved_seconds)

    def begin_call(self, index: int) -> None:
        """Start the span of one call.

        What the process waited for a processor is taken as last read: a file read less for each of a thousand calls,
        and the little that it has waited since is given to the call.
        """
        self._span_seconds = self._call_seconds(index)
        self._span_start = _Reading.of(self._pid, self._starved_seconds)

    def remaining_seconds(self) -> float:
        """How long to wait before looking again; 0 when the time is up."""
        self._starved_seconds = max(self._starved_seconds, _starved_seconds(self._pid))  # 0 where it can't be read now
        now = _Reading.of(self._pid, self._starved_seconds)
        left = min(
            self._left(now, self._span_start, self._span_seconds), self._left(now, self._start, self._total_seconds)
        )
        return 0.0 if left <= 0 else max(left, _SHORTEST_WAIT_SECONDS)

    def _call_seconds(self, index: int) -> float:
        reference = self._reference_seconds[index] if index < len(self._reference_seconds) else 0.0
        return max(self._limits.call_seconds, self._limits.reference_factor * reference)

    def _left(self, now: _Reading, start: _Reading, seconds: float) -> float:
        return min(seconds - (now.cpu - start.cpu), seconds * self._limits.wall_factor - (now.wall - start.wall))


def _starved_seconds(pid: int) -> float:
    """Seconds that the process (its first thread) was ready to run and did not; 0 where the kernel keeps no count."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0
