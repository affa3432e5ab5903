"""The sandbox outlives bad luck and leaves nothing behind: Ctrl-C, kill -9, a dead server, a fork, two threads."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from ft_eval.errors import SandboxError
from ft_eval.sandbox.records import Answer, Calls, Limits, Outcome, SandboxSettings
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.wire import encode
from tests.conftest import ROOT
from tests.sandbox import processes
from tests.sandbox.corpus import INPUTS, is_double
from tests.sandbox.processes import are_gone, becomes_true, is_running

GOOD = Calls(program="def solve(x):\n    return 2 * x", entry_point="solve", inputs=INPUTS)
ENDLESS = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # deaf to it where the tests run in a script's background
sys.path.insert(0, sys.argv[1])
from ft_eval.sandbox.records import Calls, Limits, SandboxSettings
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.wire import encode
from tests.sandbox import processes
with Sandbox(SandboxSettings(tier=sys.argv[2])) as sandbox:
    def tell(answer):
        folder = getattr(sandbox._server, "_work_dir", "/none")
        print(folder, *processes.of(sandbox), flush=True)
        return True
    program = "import os\\ndef solve(x):\\n    open('left', 'w').write('x')\\n    while x > 1: pass\\n    return x"
    limits = Limits(call_seconds=1000.0, total_seconds=1000.0)
    calls = Calls(program=program, entry_point="solve", inputs=(encode([1]), encode([2])), limits=limits)
    sandbox.run_calls(calls, tell)
"""
AS_A_USER = """
import sys
sys.path.insert(0, sys.argv[1])
from ft_eval.sandbox.records import Calls, SandboxSettings
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.wire import encode
with Sandbox(SandboxSettings(tier=sys.argv[2])) as sandbox:
    print(sandbox.description)
    calls = Calls(program="def solve(x):\\n    return 2 * x", entry_point="solve", inputs=(encode([21]),))
    print(sandbox.run_calls(calls).answers[0].text)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_when_the_owner_dies_nothing_goes_on(sandbox: Sandbox, number: signal.Signals) -> None:
    command = [sys.executable, "-c", ENDLESS, str(ROOT), sandbox.tier]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as owner:
        assert owner.stdout is not None
        folder, *pids = owner.stdout.readline().split()
        started = [int(pid) for pid in pids]
        assert len(started) >= 2
        assert all(map(is_running, started))
        time.sleep(0.1)
        owner.send_signal(number)
        owner.wait(30)
    assert becomes_true(partial(are_gone, started))
    assert becomes_true(lambda: not Path(folder).exists())


def test_a_server_that_dies_is_replaced(sandbox: Sandbox) -> None:
    assert sandbox._server is not None
    sandbox._server.kill()
    assert sandbox.run_calls(GOOD, is_double).outcome is Outcome.PASSED


def test_a_server_that_dies_under_a_program_is_replaced_and_the_program_run_again(sandbox: Sandbox) -> None:
    seen: list[int] = []

    def judge(answer: Answer) -> bool:
        seen.append(answer.index)
        if seen == [0]:
            assert sandbox._server is not None
            sandbox._server.kill()
        return True

    program = "import time\ndef solve(x):\n    time.sleep(0.2)\n    return 2 * x"
    calls = Calls(program=program, entry_point="solve", inputs=INPUTS)
    assert sandbox.run_calls(calls, judge).outcome is Outcome.PASSED
    assert seen[-3:] == [0, 1, 2]


def test_a_judge_that_raises_is_heard_and_the_sandbox_goes_on(sandbox: Sandbox) -> None:
    def judge(answer: Answer) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sandbox.run_calls(GOOD, judge)
    assert sandbox.run_calls(GOOD, is_double).outcome is Outcome.PASSED


def test_threads_take_turns(sandbox: Sandbox) -> None:
    outcomes: list[Outcome] = []
    work = lambda: outcomes.extend(sandbox.run_calls(GOOD, is_double).outcome for _ in range(5))  # noqa: E731
    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert outcomes == [Outcome.PASSED] * 15


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_is_refused_and_its_closing_ends_nothing(sandbox: Sandbox) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            sandbox.run_calls(GOOD, is_double)
        except SandboxError:
            sandbox.close()
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert sandbox.run_calls(GOOD, is_double).outcome is Outcome.PASSED


def test_many_programs_leave_no_descriptor_behind(sandbox: Sandbox) -> None:
    sandbox.run_calls(GOOD, is_double)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        sandbox.run_calls(GOOD, is_double)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_program_sees_no_descriptor_but_its_own(sandbox: Sandbox) -> None:
    program = (
        "import os\ndef solve(x):\n    found = []\n    for n in range(1024):\n        try:\n            os.fstat(n)\n"
        "            found.append(n)\n        except OSError:\n            pass\n    return found"
    )
    result = sandbox.run_calls(Calls(program=program, entry_point="solve", inputs=INPUTS[:1]))
    assert result.answers[0].text is not None
    assert len(result.answers[0].text) < 40


def test_a_closed_sandbox_says_so() -> None:
    with pytest.raises(SandboxError, match="not open"):
        Sandbox().run_calls(GOOD, is_double)


def test_a_program_without_calls_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="no calls"):
        sandbox.run_calls(Calls(program="", entry_point="f", inputs=()))


def test_the_record_says_how_programs_were_confined(sandbox: Sandbox) -> None:
    assert sandbox.description.startswith(f"{sandbox.tier}: ")
    assert "seccomp" in sandbox.description
    assert "probe 9/9" in sandbox.description


def test_a_timeout_is_measured_in_processor_time(sandbox: Sandbox) -> None:
    """Four busy neighbours take the wall from a program that needs half of its processor time, and it still passes."""
    program = (
        "import time\ndef solve(x):\n    until = time.process_time() + 0.2\n    while time.process_time() < until:\n"
    )
    program += "        pass\n    return 2 * x"
    neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        result = sandbox.run_calls(Calls(program=program, entry_point="solve", inputs=INPUTS), is_double)
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()
    assert result.outcome is Outcome.PASSED


@pytest.mark.parametrize("tier", ["ns", "ll"])
def test_it_works_for_an_ordinary_user(tier: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("the other tests have run as an ordinary user already")
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv to become an ordinary user with")
    become = ["setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups", "env", "HOME=/tmp", "TMPDIR=/tmp"]
    version = "import sys; sys.exit(sys.version_info < (3, 11))"
    pythons = [sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"]
    usable = [python for python in pythons if _succeeds([*become, python, "-c", version])]
    if not usable or not _succeeds([*become, "test", "-r", str(ROOT / "ft_eval" / "__init__.py")]):
        pytest.skip("no Python 3.11 that an ordinary user may run, or the project is closed to others")
    command = [*become, usable[0], "-B", "-c", AS_A_USER, str(ROOT), tier]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "SandboxError" in done.stderr and "isolated" in done.stderr:
        pytest.skip(f"no {tier} tier for an ordinary user here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tier}: ")
    assert done.stdout.splitlines()[1] == "b'42'"


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        return False


def test_inputs_of_every_plain_kind_arrive(sandbox: Sandbox) -> None:
    value = [1, 2.5, "é\ud800", None, True, (1,), {1, 2}, {"a": [1]}, 1 << 80, float("inf"), 1 + 2j, b"x"]
    calls = Calls(program="def solve(x):\n    return repr(x)", entry_point="solve", inputs=(encode([value]),))
    assert sandbox.run_calls(calls).answers[0].text == encode(repr(value))


def test_a_server_that_dies_while_a_program_starts_takes_it_along(sandbox: Sandbox) -> None:
    """Killed at any moment, also before the child has asked to die with it."""
    limits = Limits(call_seconds=3600.0, total_seconds=3600.0)
    endless = Calls(program="def solve(x):\n    while True: pass", entry_point="solve", inputs=INPUTS, limits=limits)
    for number in (0, 2, 5):
        with Sandbox(SandboxSettings(tier=str(sandbox.tier))) as other, ThreadPoolExecutor(1) as threads:
            started = processes.of(other)
            found = threads.submit(other.run_calls, endless)
            time.sleep(number * 0.01)
            started |= processes.of(other)
            other.stop()
            with pytest.raises(SandboxError):
                found.result(timeout=30.0)
        assert becomes_true(partial(are_gone, started)), f"after {number * 10} ms"


@pytest.mark.parametrize(("is_alive", "said"), [(True, "lived\n"), (False, "")])
def test_a_child_whose_server_died_before_it_could_ask_ends_by_itself(is_alive: bool, said: str) -> None:
    """The signal of a parent's death is sent to those alone who have asked for it by then."""
    code = (
        "import os, subprocess, sys; sys.path.insert(0, sys.argv[1]); from ft_eval.sandbox.box import confine\n"
        "server = subprocess.Popen(['sleep', '60' if sys.argv[2] == 'True' else '0'])\n"
        "pidfd = os.pidfd_open(server.pid)\n"
        "if sys.argv[2] == 'False': os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)\n"
        "confine._die_with(pidfd); server.kill(); print('lived')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), str(is_alive)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == said
    assert done.returncode == (0 if is_alive else 1), done.stderr


def test_a_stopped_sandbox_ends_its_program_at_once_and_takes_no_other(sandbox: Sandbox) -> None:
    limits = Limits(call_seconds=3600.0, total_seconds=3600.0)
    endless = Calls(program="def solve(x):\n    while True: pass", entry_point="solve", inputs=INPUTS, limits=limits)
    with Sandbox(SandboxSettings(tier=str(sandbox.tier))) as other, ThreadPoolExecutor(1) as threads:
        found = threads.submit(other.run_calls, endless)
        time.sleep(0.3)
        other.stop()
        with pytest.raises(SandboxError, match="stopped"):
            found.result(timeout=30.0)
        with pytest.raises(SandboxError, match="stopped"):
            other.run_calls(endless)
    with other:
        assert other.run_calls(GOOD).outcome is Outcome.PASSED
