"""A deadline counts processor time, then wall time that was not spent waiting for a processor."""

import os
import subprocess
import sys
import time

import pytest

from ft_eval.sandbox import deadline as deadline_module
from ft_eval.sandbox.deadline import Deadline
from ft_eval.sandbox.records import Limits

LIMITS = Limits(call_seconds=1.0, load_seconds=2.0, total_seconds=10.0, wall_factor=3.0)


def test_a_sleeper_is_given_wall_time_and_a_worker_processor_time() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"]) as sleeper:
        try:
            time.sleep(1.0)
            deadline = Deadline(sleeper.pid, LIMITS, ())
            before = deadline.remaining_seconds()
            time.sleep(0.5)
            assert deadline.remaining_seconds() == pytest.approx(before, abs=0.2)
        finally:
            sleeper.kill()


def test_processor_time_runs_down() -> None:
    deadline = Deadline(os.getpid(), LIMITS, ())
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    assert deadline.remaining_seconds() < 3.0 - 0.25


@pytest.mark.parametrize(
    ("limits", "reference", "call", "seconds"),
    [
        (LIMITS, (), None, 3.0),  # loading and the first call
        (LIMITS, (0.1, 0.1), 1, 1.0),
        (LIMITS, (0.1, 0.5), 1, 2.0),  # four times the reference
        (LIMITS, (0.5,), None, 4.0),
        (LIMITS, (20.0, 20.0), 1, 80.0),  # the total grows with the references
        (Limits(call_seconds=50.0, total_seconds=5.0), (), 0, 5.0),
    ],
)
def test_spans_are_as_long_as_the_limits_say(
    limits: Limits, reference: tuple[float, ...], call: int | None, seconds: float
) -> None:
    deadline = Deadline(os.getpid(), limits, reference)
    if call is not None:
        deadline.begin_call(call)
    assert deadline.remaining_seconds() == pytest.approx(seconds, abs=0.2)


def test_a_wait_for_a_processor_that_can_not_be_read_now_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = iter([100.0, 100.0, 0.0])
    monkeypatch.setattr(deadline_module, "_starved_seconds", lambda _pid: next(waited))
    deadline = Deadline(os.getpid(), LIMITS, ())
    before = deadline.remaining_seconds()
    assert deadline.remaining_seconds() == pytest.approx(before, abs=0.2)


def test_a_process_that_is_gone_raises_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert Deadline(gone.pid, LIMITS, ()).remaining_seconds() > 0
