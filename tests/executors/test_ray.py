"""A real Ray cluster of several nodes on the loopback: work is spread, and outlives its workers and nodes."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ft_eval.errors import ExecutorError
from ft_eval.executors.opening import ExecutorOptions, open_executor
from tests.executors.nodes import Nodes
from tests.executors.work import Count, Kept

pytest.importorskip("ray")


@pytest.fixture
def nodes(monkeypatch) -> Iterator[Nodes]:
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    cluster = Nodes(2)
    yield cluster
    cluster.close()


def collect(executor: Any, work: Any, items: Any, found: list[Any]) -> None:
    executor.map(work, items, found.append)


def options(nodes: Nodes) -> ExecutorOptions:
    return ExecutorOptions(name="ray", ray_address=nodes.address)


@pytest.mark.slow
def test_work_is_spread_over_nodes_and_outlives_a_node_that_is_killed(nodes):
    with open_executor(Kept, options(nodes)) as executor:
        assert executor.num_workers == 2
        found: list[Any] = []
        call = threading.Thread(target=partial(collect, executor, Count(seconds=0.3), [6] * 12, found))
        call.start()
        deadline = time.monotonic() + 120
        while len({one[1] for one in found if one[0] == "pid"}) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        nodes.tell("kill")
        call.join(timeout=120)
        assert not call.is_alive()
    assert sum(one[0] == "pid" for one in found) == 12  # every item was done to its end, once
    assert {one for one in found if one[0] != "pid"} == {(6, number) for number in range(6)}
    assert len({one[1] for one in found if one[0] == "pid"}) >= 2


@pytest.mark.slow
def test_a_lost_head_ends_the_work_with_one_line_and_this_process_lives(nodes):
    with open_executor(Kept, options(nodes)) as executor:
        found: list[Any] = []
        executor.map(Count(), [2], found.append)
        nodes.tell("head")
        with pytest.raises(ExecutorError, match=r"is lost.*run the same command to continue"):
            executor.map(Count(seconds=1.0), [100] * 4, found.append)


def test_no_cluster_is_one_clear_line():
    with pytest.raises(ExecutorError, match="no Ray cluster there"):
        open_executor(Kept, ExecutorOptions(name="ray", ray_address="not an address"))
