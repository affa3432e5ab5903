"""What goes wrong with the machine is an error or a second try, never a verdict; programs leave each other nothing."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ft_eval.errors import SandboxError
from ft_eval.sandbox import server
from ft_eval.sandbox.records import Answer, Calls, Limits, Outcome, SandboxSettings, Tier
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.server import ServerError
from tests.sandbox import processes
from tests.sandbox.corpus import INPUTS, is_double

GOOD = Calls(program="def solve(x):\n    return 2 * x", entry_point="solve", inputs=INPUTS)
SLOW = Calls(
    program="import time\ndef solve(x):\n    time.sleep(0.2)\n    return 2 * x", entry_point="solve", inputs=INPUTS
)
TRACES = """
import fcntl, os
def solve(x):
    found = []
    for path in ('/dev/null', '/dev/zero'):
        file = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.append('free')
        except OSError:
            found.append('locked')
        os.close(file)
    for descriptor in range(3):
        found.append(fcntl.fcntl(descriptor, fcntl.F_GETFL))
    for descriptor in range(3):
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND | os.O_NONBLOCK)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return found
"""


def test_a_program_finds_no_flag_and_no_lock_of_the_one_before(sandbox: Sandbox) -> None:
    calls = Calls(program=TRACES, entry_point="solve", inputs=INPUTS[:1])
    first, second = (sandbox.run_calls(calls) for _ in range(2))
    assert first.answers[0].text == second.answers[0].text
    assert first.answers[0].text is not None
    assert b"locked" not in first.answers[0].text


def _kills_the_program(sandbox: Sandbox, num_times: int) -> list[int]:
    """Run SLOW, and kill it whenever its first answer is there; the answers' numbers."""
    seen: list[int] = []
    idle = processes.of(sandbox)

    def judge(answer: Answer) -> bool:
        seen.append(answer.index)
        if answer.index == 0 and seen.count(0) <= num_times:
            (program,) = processes.of(sandbox) - idle
            os.kill(program, signal.SIGKILL)
        return is_double(answer)

    result = sandbox.run_calls(SLOW, judge)
    assert result.outcome is (Outcome.PASSED if num_times < 2 else Outcome.OUT_OF_MEMORY), result
    return seen


def test_a_program_that_the_system_killed_gets_a_second_try_and_no_third(sandbox: Sandbox) -> None:
    sandbox.run_calls(GOOD, is_double)
    assert _kills_the_program(sandbox, 1)[-3:] == [0, 1, 2]
    assert _kills_the_program(sandbox, 2).count(0) == 2


@contextmanager
def _descriptors(number: int) -> Iterator[None]:
    """That many more than are open now, and no other."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + number, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _num_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("number", range(5))
def test_without_descriptors_there_is_an_error_and_none_is_lost(number: int) -> None:
    with Sandbox(SandboxSettings(tier="auto")) as sandbox:
        before = _num_descriptors()
        with _descriptors(number), suppress(SandboxError):
            assert sandbox.run_calls(GOOD, is_double).outcome is Outcome.PASSED
        assert sandbox.run_calls(GOOD, is_double).outcome is Outcome.PASSED
        assert _num_descriptors() == before


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("tier", ["ns", "ll"])
def test_a_server_that_cannot_be_started_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tier: str, number: int
) -> None:
    monkeypatch.setattr(server, "_make_work_dir", lambda: tempfile.mkdtemp(dir=tmp_path))
    before = _num_descriptors()
    with _descriptors(number), pytest.raises((ServerError, OSError)):
        server.BoxServer(tier)
    assert _num_descriptors() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hard", [0, 1, resource.RLIM_INFINITY])
def test_no_crash_of_a_program_is_dumped(hard: int) -> None:
    """At a limit of 0 the machine's own program would take the dump of a process that may be dumped."""
    program = "import ctypes, resource\ndef solve(_):\n"
    program += "    return [resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)]"
    calls = Calls(program=program, entry_point="solve", inputs=INPUTS[:1])
    code = f"""
import resource
soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (min(soft, {hard}) if {hard} >= 0 else soft, {hard} if {hard} >= 0 else hard))
from ft_eval.sandbox.records import *
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.server import ServerError
with Sandbox(SandboxSettings(tier="ll")) as sandbox:
    print(sandbox.run_calls({calls!r}).answers[0].text.decode())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if "can't be isolated here" in done.stderr:
        pytest.skip("no ll tier here")
    limit, is_dumpable = json.loads(done.stdout)[1:]
    assert limit == 1 or not is_dumpable


def test_without_room_for_temporary_files_nothing_is_run(sandbox: Sandbox) -> None:
    if sandbox.tier is Tier.NS:
        pytest.skip("in ns the folder is memory of the program's own")
    calls = Calls(program=GOOD.program, entry_point="solve", inputs=INPUTS, limits=Limits(scratch_bytes=1 << 60))
    with pytest.raises(SandboxError, match="no room for"):
        sandbox.run_calls(calls, is_double)
    assert sandbox.run_calls(GOOD, is_double).outcome is Outcome.PASSED
