"""Follows one program from its first frame to its end, and says how it ended. Reads untrusted bytes; trusts none.

A program can forge frames (it shares its process with their writer), so a frame is only ever an answer to be judged or
a reason to stop. What it can't do is fake the ready frame, which is written before any of its own bytes is read:
without one nothing was tried, and that is a ServerError, never an outcome.
"""

import json
import math
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ft_eval.sandbox import frames
from ft_eval.sandbox.box.config import ChildLimits
from ft_eval.sandbox.deadline import Deadline
from ft_eval.sandbox.records import Answer, Calls, ExecutionResult, Outcome
from ft_eval.sandbox.server import BoxServer, Child, Report, ServerError
from ft_eval.sandbox.wire import printable, to_tree

Judge = Callable[[Answer], bool]
"""Whether an answer is right. Called in order, from call 0; a restarted program is judged from call 0 again."""

_READY_SECONDS = 60.0
_READ_BYTES = 1 << 20
_LOOK_SECONDS = 0.1
_MANY_ANSWERS = 16
_GATHER_SECONDS = 0.0003
"""A program that answers many calls is left alone for so long before its answers are read, several at a time: to be
woken for each costs both sides more than a short call does."""
_MAX_THREADS = 256
_NUM_THREADS_FIELD = 17
"""Of /proc/PID/stat, counted after the name."""
_SLACK_BYTES = 1024
_NAME_LENGTH = 100
_NUMPY = "numpy"
_NUM_EXIT_LOOKS = 20
_SPARE_CPU_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ending:
    outcome: Outcome
    detail: str = ""
    was_killed: bool = False


def execute(server: BoxServer, calls: Calls, judge: Judge) -> tuple[ExecutionResult, bool]:
    """Run a program to its end: the result, and whether the server is fit for another one.

    Raises ServerError when the program was never tried. Any other exception (the judge's, Ctrl-C) leaves the child
    killed and the server out of step: close it.
    """
    start = time.monotonic()
    child = server.start(_job(calls), _child_limits(calls))
    try:
        follower = _Follower(server, child, calls, judge)
        ending = follower.follow()
    finally:
        child.kill()
        child.close()
    report = _finish(server, is_needed=ending is None)
    return _result(ending, report, follower.num_answers, time.monotonic() - start), report is not None


class _Follower:
    """Reads a child's frames under its deadlines."""

    def __init__(self, server: BoxServer, child: Child, calls: Calls, judge: Judge) -> None:
        self.num_answers = 0
        self._server, self._child, self._calls, self._judge = server, child, calls, judge
        self._reader = frames.FrameReader(calls.limits.digest_bytes + _SLACK_BYTES)
        self._deadline: Deadline | None = None
        self._num_bytes = 0
        self._patient_until = time.monotonic() + _READY_SECONDS
        self._next_look = time.monotonic() + _LOOK_SECONDS

    def follow(self) -> _Ending | None:
        """How the program ended, or None when its process ended first and the server must say how."""
        poller = select.poll()
        poller.register(self._child.answers_fd, select.POLLIN)
        while True:
            ending = self._look() if time.monotonic() >= self._next_look else None
            if ending is not None:
                return ending
            if not poller.poll(math.ceil(max(0.0, self._next_look - time.monotonic()) * 1000)):
                continue
            if self.num_answers >= _MANY_ANSWERS:
                time.sleep(_GATHER_SECONDS)
            data = os.read(self._child.answers_fd, _READ_BYTES)
            if not data:
                return self._at_end_of_file()
            ending = self._take_bytes(data)
            if ending is not None:
                return ending

    def _look(self) -> _Ending | None:
        """What is seen from outside now and then, whatever the program says: its threads and its time."""
        if self._has_too_many_threads():
            return _Ending(outcome=Outcome.OUT_OF_MEMORY, detail=f"{self._where()}: more than {_MAX_THREADS} threads")
        if self._deadline is None:
            left = self._patient_until - time.monotonic()
            if left <= 0:
                raise ServerError(f"no ready frame within {_READY_SECONDS:.0f} s; {self._server.last_words()}")
        else:
            left = self._deadline.remaining_seconds()
            if left <= 0:
                return _Ending(outcome=Outcome.TIMED_OUT, detail=self._where())
        self._next_look = time.monotonic() + min(left, _LOOK_SECONDS)
        return None

    def _has_too_many_threads(self) -> bool:
        """Threads with small stacks cost little address space, and a machine has few process ids."""
        try:
            fields = Path(f"/proc/{self._child.pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:  # it has ended
            return False
        return int(fields[_NUM_THREADS_FIELD]) > _MAX_THREADS

    def _at_end_of_file(self) -> _Ending | None:
        if self._deadline is None:
            raise ServerError(f"the box ended before it was ready: {self._server.last_words()}")
        poller = select.poll()
        poller.register(self._child.pidfd, select.POLLIN)
        for _ in range(_NUM_EXIT_LOOKS):
            if poller.poll(_LOOK_SECONDS * 1000):
                return None
            if self._has_too_many_threads():
                break
        return _Ending(outcome=Outcome.CRASHED, detail="closed its answer pipe and went on")

    def _take_bytes(self, data: bytes) -> _Ending | None:
        self._num_bytes += len(data)
        if self._num_bytes > self._calls.limits.output_bytes:
            return _Ending(outcome=Outcome.OUTPUT_LIMIT, detail=self._where())
        num_before = self.num_answers
        try:
            for frame in self._reader.feed(data):
                ending = self._take(frame)
                if ending is not None:
                    return ending
        except frames.FrameError as error:
            return _Ending(outcome=Outcome.CRASHED, detail=f"garbage on the answer pipe: {error}")
        if self._deadline is not None and self.num_answers > num_before:
            self._deadline.begin_call(self.num_answers)  # of answers read together the last one alone begins a span
        return None

    def _take(self, frame: frames.Frame) -> _Ending | None:
        if self._deadline is None:
            if frame.kind != frames.READY:
                raise ServerError("the box spoke before it was ready")
            self._deadline = Deadline(self._child.pid, self._calls.limits, self._calls.reference_seconds)
            return None
        if frame.kind == frames.NOT_LOADED:
            return _not_loaded(frame.body)
        if frame.kind == frames.READY or frame.index != self.num_answers:
            return _Ending(outcome=Outcome.CRASHED, detail="an answer out of turn")
        return self._take_answer(_answer(frame))

    def _take_answer(self, answer: Answer) -> _Ending | None:
        self.num_answers += 1
        if answer.error is not None:
            is_memory = answer.error.endswith("MemoryError")
            outcome = Outcome.OUT_OF_MEMORY if is_memory else Outcome.FAILED
            return _Ending(outcome=outcome, detail=f"call {answer.index}: {answer.error}")
        if not self._judge(answer):
            return _Ending(outcome=Outcome.FAILED, detail=f"call {answer.index}: answer refused")
        if self.num_answers == len(self._calls.inputs):
            return _Ending(outcome=Outcome.PASSED)
        return None

    def _where(self) -> str:
        return f"call {self.num_answers}"


def _job(calls: Calls) -> bytes:
    head = {
        "program": to_tree(calls.program),
        "entry_point": calls.entry_point,
        "expand_iterators": calls.expand_iterators,
    }
    return json.dumps(head).encode("ascii")[:-1] + b', "calls": [' + b",".join(calls.inputs) + b"]}"


def _child_limits(calls: Calls) -> ChildLimits:
    limits = calls.limits
    return ChildLimits(
        memory_bytes=limits.memory_bytes,
        scratch_bytes=limits.scratch_bytes,
        cpu_seconds=math.ceil(limits.total_seconds) + _SPARE_CPU_SECONDS,
        digest_bytes=limits.digest_bytes,
        uses_numpy=_NUMPY in calls.program,
    )


def _answer(frame: frames.Frame) -> Answer:
    if frame.kind == frames.RAISED:
        return Answer(index=frame.index, seconds=frame.seconds, error=_name(frame.body))
    if frame.kind == frames.DIGEST:
        kind, _, digest = _name(frame.body).partition(" ")
        return Answer(index=frame.index, seconds=frame.seconds, digest=digest, is_floats=kind == "floats")
    return Answer(index=frame.index, seconds=frame.seconds, text=frame.body)


def _not_loaded(body: bytes) -> _Ending:
    why, _, name = _name(body).partition(" ")
    if name.endswith("MemoryError"):
        return _Ending(outcome=Outcome.OUT_OF_MEMORY, detail="while loading")
    outcomes = {"syntax": Outcome.SYNTAX_ERROR, "load": Outcome.LOAD_ERROR, "entry_point": Outcome.NO_ENTRY_POINT}
    return _Ending(outcome=outcomes.get(why, Outcome.CRASHED), detail=name.removeprefix("builtins."))


def _name(body: bytes) -> str:
    return printable(body.decode("ascii", "replace"), _NAME_LENGTH)


def _finish(server: BoxServer, *, is_needed: bool) -> Report | None:
    """The server's report; None when it can't be had and is not needed."""
    try:
        return server.finish()
    except ServerError:
        if is_needed:
            raise
        return None


def _result(ending: _Ending | None, report: Report | None, num_answers: int, seconds: float) -> ExecutionResult:
    if ending is None or (report is not None and report.over_scratch):
        assert report is not None, "a missing ending has asked for the report"
        ending = _from_status(report)
    return ExecutionResult(
        outcome=ending.outcome,
        detail=ending.detail,
        was_killed=ending.was_killed,
        num_answers=num_answers,
        seconds=seconds,
        cpu_seconds=report.cpu_seconds if report else 0.0,
        peak_memory_bytes=report.peak_memory_bytes if report else 0,
    )


def _from_status(report: Report) -> _Ending:
    """For a process that ended before it had answered every call."""
    if report.over_scratch:
        return _Ending(outcome=Outcome.OUTPUT_LIMIT, detail="too many temporary files")
    if report.status >= 0:
        return _Ending(outcome=Outcome.CRASHED, detail=f"left with exit status {report.status}")
    if -report.status == signal.SIGKILL:
        return _Ending(outcome=Outcome.OUT_OF_MEMORY, detail="killed by the system", was_killed=True)
    return _Ending(outcome=Outcome.CRASHED, detail=signal.Signals(-report.status).name)
