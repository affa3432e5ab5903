"""A pool of processes does every item, whatever becomes of its workers, and tells each caller its own outcomes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from ft_eval.errors import ExecutorError, UsageError
from ft_eval.executors.crew import Event, Finished, Joined, Task
from ft_eval.executors.opening import ExecutorOptions
from ft_eval.executors.pool import PoolExecutor
from ft_eval.executors.processes import ProcessCrew
from tests.executors.work import Count, Die, Kept, Raise


def collect(executor: PoolExecutor, work, items) -> list[Any]:
    found: list[Any] = []
    executor.map(work, items, found.append)
    return found


def test_processes_do_each_item_keep_their_state_and_may_be_asked_by_several_threads():
    with PoolExecutor(ProcessCrew(Kept, 2, num_threads=1)) as executor:
        with ThreadPoolExecutor(3) as threads:
            calls = [threads.submit(collect, executor, Count(affinity=f"{n}"), range(n, n + 4)) for n in range(3)]
        for n, call in enumerate(calls):
            counted = [outcome for outcome in call.result() if outcome[0] != "pid"]
            assert sorted(counted) == [(item, number) for item in range(n, n + 4) for number in range(item)]
        pids = [outcome for call in calls for outcome in call.result() if outcome[0] == "pid"]
        assert 1 <= len({pid for _, pid, _ in pids}) <= 2
        assert max(number for *_, number in pids) > 1
        with pytest.raises(UsageError, match="a mistake"):
            collect(executor, Raise(UsageError("a mistake")), [0, 1, 2])
        with pytest.raises(ZeroDivisionError) as raised:
            collect(executor, Raise(ZeroDivisionError("ours")), [0, 1, 2])
        assert "work.py" in "".join(raised.value.__notes__)  # a bug of ours keeps its traceback
        assert collect(executor, Count(), []) == []


def test_a_worker_that_dies_is_replaced_and_its_item_done_again(tmp_path):
    with PoolExecutor(ProcessCrew(Kept, 2, num_threads=1)) as executor:
        found = collect(executor, Die(tmp_path), range(6))
        assert sorted(set(found)) == list(range(6))
        assert sorted(found) == [0, 0, 1, 2, 3, 3, 4, 5]  # told before the end, and again
        with pytest.raises(ExecutorError, match="ended 3 workers"):
            collect(executor, Die(), [0])


class Scripted:
    """A crew whose workers do everything at once, and that notes who was given what."""

    num_workers = 2

    def __init__(self) -> None:
        self.given: list[tuple[int, object]] = []
        self.events: list[Event] = [Joined(worker=0), Joined(worker=1)]
        self.fails = False
        self.is_closed = False

    def give(self, worker: int, task: Task) -> None:
        self.given.append((worker, task.work.affinity))
        self.events.append(Finished(worker=worker))

    def poll(self, seconds: float) -> list[Event]:
        if self.fails:
            raise ExecutorError("the cluster is lost")
        events, self.events = self.events, []
        return events

    def forget(self, call: int) -> None: ...

    def close(self) -> None:
        self.is_closed = True


@dataclass(frozen=True)
class Named:
    affinity: str

    def run(self, state, item, emit): ...


def test_a_worker_goes_on_with_what_it_has_loaded_and_the_end_of_a_crew_reaches_every_caller():
    crew = Scripted()
    with PoolExecutor(crew) as executor:
        threads = [threading.Thread(target=collect, args=(executor, Named(name), range(20))) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        by_worker = [[name for number, name in crew.given if number == worker] for worker in (0, 1)]
        switches = sum(a != b for names in by_worker for a, b in pairwise(names))
        assert switches <= 2
        crew.fails = True
        with pytest.raises(ExecutorError, match="the cluster is lost"):
            collect(executor, Named("c"), range(3))
    assert crew.is_closed


def test_an_option_of_ray_without_ray_is_refused():
    with pytest.raises(UsageError, match="--ray-address is for Ray; add --executor ray"):
        ExecutorOptions(ray_address="auto")
