"""Jobs in flight: one after another where the engine is in this process, several where workers wait for requests.

    job thread   ── builds requests ──▶ waits for answers, logs them ──▶ scores, finishes ──▶ next job
                    has the turn        the turn is another's             has the turn

A thread has the turn while it is in lm-eval, the sandbox or the run's folder: of those, one works at a time. It gives
the turn away only while it waits for its workers. Knows no task.
"""

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ft_eval.closing import Closing
from ft_eval.executors import Executor, Work
from ft_eval.executors.base import Emit
from ft_eval.records import Job
from ft_eval.run.jobs import JobRunner
from ft_eval.run.progress import OneAtATime

_WORKERS_PER_JOB = 16
_MAX_JOBS = 16
"""Each in flight holds its requests and samples: 10,000 take about 50 MiB."""
_SECONDS_BETWEEN_LOOKS = 0.2


def fly(jobs: Sequence[Job], runner: JobRunner) -> None:
    """Run every job. What one of them raises comes out; what has not begun by then is not begun."""
    if runner.executor.in_process:
        for job in jobs:
            runner.run(job)
        return
    turn = threading.Lock()
    taking_turns = _TakingTurns(executor=runner.executor, turn=turn)
    flight = _Flight(
        jobs=deque(jobs),
        runner=replace(runner, executor=taking_turns, progress=OneAtATime(runner.progress)),
        turn=turn,
        errors=[],
    )
    num_threads = min(2 + runner.executor.num_workers // _WORKERS_PER_JOB, _MAX_JOBS, len(jobs))
    threads = [threading.Thread(target=flight.work, name=f"jobs-{number}") for number in range(num_threads)]
    for thread in threads:
        thread.start()
    try:
        _wait(threads)
    except BaseException:
        flight.jobs.clear()
        runner.executor.close()  # threads that wait for answers go on with an error
        _wait(threads)
        raise
    if flight.errors:
        raise flight.errors[0]


def _wait(threads: Sequence[threading.Thread]) -> None:
    """Join them all, open to signals."""
    for thread in threads:
        while thread.is_alive():
            thread.join(_SECONDS_BETWEEN_LOOKS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flight:
    """What the threads share."""

    jobs: deque[Job]
    runner: JobRunner
    turn: threading.Lock
    errors: list[BaseException]

    def work(self) -> None:
        """Do job after job; a thread lives as long as there are any, since a sandbox ends with its thread."""
        with self.turn:
            while self.jobs:
                job = self.jobs.popleft()
                try:
                    self.runner.run(job)
                except BaseException as error:  # noqa: BLE001 — the thread that waits raises it
                    self.errors.append(error)
                    self.jobs.clear()
                    self.runner.executor.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _TakingTurns(Closing):
    """An executor whose caller has the turn, gives it away while workers work, and takes it back."""

    executor: Executor
    turn: threading.Lock
    in_process = False

    @property
    def num_workers(self) -> int:
        """The executor's."""
        return self.executor.num_workers

    def map(self, work: Work, items: Iterable[Any], on_outcome: Emit) -> None:
        """See `Executor.map`; the caller has no turn while `on_outcome` is called."""
        self.turn.release()
        try:
            self.executor.map(work, items, on_outcome)
        finally:
            self.turn.acquire()

    def close(self) -> None:
        """End the workers."""
        self.executor.close()
