"""No hostile program passes, gets out, hangs the sandbox or disturbs the program after it, in any tier."""

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

import pytest

from ft_eval.sandbox.records import MEBIBYTE, Calls, Limits, Outcome, SandboxSettings, Tier
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.wire import encode
from tests.sandbox import processes
from tests.sandbox.cgroups import members, own_group
from tests.sandbox.cheats import DISTURBANCES, FORGERIES, RESOURCES
from tests.sandbox.corpus import FOLLOWER, INPUTS, LIMITS, is_double, lay_out, outside_places, state
from tests.sandbox.escapes import ESCAPES, HARMLESS_ATTEMPTS, fill
from tests.sandbox.namespaces import are_elsewhere, own_pid_namespace
from tests.sandbox.processes import becomes_true

HOSTILE = ESCAPES | FORGERIES | RESOURCES | DISTURBANCES


@pytest.fixture(scope="session")
def outside() -> Iterator[dict[str, object]]:
    with outside_places() as places:
        yield places


@pytest.mark.filterwarnings("default:no PID namespace")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_get_nothing(sandbox: Sandbox, outside: dict[str, object], name: str) -> None:
    lay_out(outside)
    before, start = state(outside), time.monotonic()
    calls = Calls(program=fill(HOSTILE[name], outside), entry_point="solve", inputs=INPUTS, limits=LIMITS)
    _open_alone(sandbox)
    with own_group(processes.of(sandbox)) as group:
        result = sandbox.run_calls(calls, is_double)
        assert group is None or becomes_true(lambda: members(group) <= processes.of(sandbox)), "something still runs"
    assert result.outcome is not Outcome.PASSED
    assert time.monotonic() - start < 30
    assert state(outside) == before
    follower = sandbox.run_calls(Calls(program=FOLLOWER, entry_point="solve", inputs=INPUTS), is_double)
    assert follower.outcome is Outcome.PASSED, follower


def _open_alone(sandbox: Sandbox) -> None:
    """See that the next program has a PID namespace that no program before it had, where this machine can do that.

    In ns each program has one. In bwrap and docker it is the box's, so the box is a new one; in ll nobody makes one, so
    a new server is started in one of ours, or, where that is forbidden (to an ordinary user), in none, with a warning.
    """
    follower = Calls(program=FOLLOWER, entry_point="solve", inputs=INPUTS)
    if sandbox.tier is Tier.NS:
        sandbox.run_calls(follower, is_double)
        return
    sandbox._discard()
    with own_pid_namespace() if sandbox.tier is Tier.LL else nullcontext(True) as is_alone:
        sandbox.run_calls(follower, is_double)
    if not is_alone:
        warnings.warn("no PID namespace may be made here: in ll the programs ran in the tests' own", stacklevel=2)
    assert are_elsewhere(processes.of(sandbox)) or not is_alone or os.geteuid() != 0


@pytest.fixture(scope="session")
def unconfined() -> Iterator[Sandbox]:
    """A box without walls, to see that the attempts are real."""
    with Sandbox(SandboxSettings(tier="none", allow_unsafe_code=True)) as opened:
        yield opened


@pytest.mark.parametrize("name", HARMLESS_ATTEMPTS)
def test_the_attempts_succeed_where_nothing_is_in_their_way(
    unconfined: Sandbox, outside: dict[str, object], name: str
) -> None:
    lay_out(outside)
    inputs = INPUTS[:1]  # some succeed only once
    calls = Calls(program=fill(HOSTILE[name], outside), entry_point="solve", inputs=inputs)
    assert unconfined.run_calls(calls, is_double).outcome is Outcome.PASSED


def test_a_dead_program_leaves_no_process(sandbox: Sandbox, outside: dict[str, object]) -> None:
    sandbox.run_calls(Calls(program=FOLLOWER, entry_point="solve", inputs=INPUTS), is_double)
    before = processes.of(sandbox)
    for name in ("leaves a daemon", "starts threads without end", "bombs with forks", "sleeps"):
        calls = Calls(program=fill(HOSTILE[name], outside), entry_point="solve", inputs=INPUTS, limits=LIMITS)
        sandbox.run_calls(calls, is_double)
        assert processes.of(sandbox) == before


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("loops", Outcome.TIMED_OUT),
        ("loops when loaded", Outcome.TIMED_OUT),
        ("sleeps", Outcome.TIMED_OUT),
        ("swallows everything", Outcome.TIMED_OUT),
        ("takes all memory", Outcome.OUT_OF_MEMORY),
        ("leaves early with success", Outcome.CRASHED),
        ("leaves in a call", Outcome.CRASHED),
        ("crashes", Outcome.CRASHED),
        ("forges frames on every descriptor", Outcome.CRASHED),
        ("promises a gigabyte", Outcome.CRASHED),
        ("closes everything and goes on", Outcome.CRASHED),
        ("equals everything", Outcome.FAILED),
    ],
)
def test_how_hostile_programs_end_is_told_apart(sandbox: Sandbox, name: str, outcome: Outcome) -> None:
    limits = replace(LIMITS, call_seconds=60.0, total_seconds=60.0) if outcome is Outcome.OUT_OF_MEMORY else LIMITS
    calls = Calls(program=HOSTILE[name], entry_point="solve", inputs=INPUTS, limits=limits)
    assert sandbox.run_calls(calls, is_double).outcome is outcome


def test_a_program_with_too_many_threads_is_stopped(sandbox: Sandbox) -> None:
    program = "import threading, time\nthreading.stack_size(32768)\ndef solve(x):\n"
    program += (
        "    for _ in range(1000):\n        threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
    )
    program += "    time.sleep(9)\n    return 2 * x"
    calls = Calls(program=program, entry_point="solve", inputs=INPUTS, limits=Limits(memory_bytes=1 << 46))
    result = sandbox.run_calls(calls, is_double)
    assert result.outcome is Outcome.OUT_OF_MEMORY
    assert "threads" in result.detail


def test_a_program_with_too_many_threads_is_stopped_also_when_it_has_closed_its_pipe(sandbox: Sandbox) -> None:
    program = "import os, threading, time\nthreading.stack_size(32768)\nos.closerange(3, 64)\nfor _ in range(500):\n"
    program += "    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\ntime.sleep(9)"
    result = sandbox.run_calls(Calls(program=program, entry_point="solve", inputs=INPUTS), is_double)
    assert result.outcome is Outcome.CRASHED
    assert result.seconds < 1.5


def test_answers_over_the_limit_are_not_kept(sandbox: Sandbox) -> None:
    program = "def solve(x):\n    return 'x' * 60000"
    limits = Limits(output_bytes=MEBIBYTE)
    calls = Calls(program=program, entry_point="solve", inputs=(encode([1]),) * 100, limits=limits)
    result = sandbox.run_calls(calls)
    assert result.outcome is Outcome.OUTPUT_LIMIT
    assert result.num_answers < 20
