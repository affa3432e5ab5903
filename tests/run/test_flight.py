"""Jobs in flight, cut into shards for workers, come to what one process makes of them; one that fails ends them all."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from ft_eval.engine.client import shards
from ft_eval.errors import EngineError, UsageError
from ft_eval.executors import opening
from ft_eval.executors.base import Emit, Work
from ft_eval.executors.opening import ExecutorOptions
from ft_eval.resources import toy_dir
from ft_eval.run import SilentProgress
from ft_eval.run.flight import fly
from tests.run.warm import Server, contents


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


def test_one_long_job_over_two_processes_has_the_bytes_of_one(server, tmp_path):
    found = {}
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        flags = ["--num-workers", str(number)] if number > 1 else []
        argv = ["--tasks", "toy_mmlu,toy_gsm8k", "--limit", "30", "--latents", "prior", "--z-draws", "2", "--offline"]
        command = ["run", "--ckpt", str(toy_dir() / "latent"), *argv, *flags, "-o", "out"]
        assert server.run(folder, command, OMP_NUM_THREADS="1") == 0, (folder / "output.txt").read_text()
        found[number] = contents(folder / "out")
        del found[number]["run.json"]  # it names the command
    assert found[1] == found[2]
    assert sum(data.count(b"\n") for name, data in found[1].items() if name.endswith("samples.jsonl")) >= 60


def test_shards_hold_every_request_once_in_order_and_keep_an_items_together():
    items = [str(number // 4) for number in range(400)]
    wanted = [number for number in range(400) if number % 7]
    for num_workers in (1, 2, 8, 64):
        cut = list(shards(wanted, items, num_workers))
        assert [number for shard in cut for number in shard] == wanted
        owners: dict[str, int] = {}
        for place, shard in enumerate(cut):
            assert all(owners.setdefault(items[number], place) == place for number in shard)
        assert all(len(shard) >= 16 for shard in cut[:-1])
        assert (len(cut) == 1) == (num_workers == 1)


class Workers:
    """An executor elsewhere that takes its time, and notes whether its callers ever have the turn together."""

    in_process = False
    num_workers = 2

    def __init__(self) -> None:
        self.closed = threading.Event()

    def map(self, work: Work, items: Any, on_outcome: Emit) -> None:
        if self.closed.wait(0.01):
            raise EngineError("the workers were ended")

    def close(self) -> None:
        self.closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...


class Runner:
    """Runs jobs that ask twice; what `dataclasses.replace` needs is given by a subclass of a tuple's simplicity."""

    def __init__(self, executor: Any, progress: Any, log: list[Any], failing: int | None = None) -> None:
        self.executor, self.progress, self.log, self.failing = executor, progress, log, failing
        self._inside = log  # shared by all copies

    def __replace__(self, **given: Any) -> "Runner":
        return Runner(given["executor"], given["progress"], self.log, self.failing)

    def run(self, job: int) -> None:
        for step in range(2):
            self.log.append(("in", job, step))
            time.sleep(0.002)
            if job == self.failing:
                raise EngineError("the device is lost")
            self.log.append(("out", job, step))
            self.executor.map(None, [], print)
        self.log.append(("done", job, 2))


@pytest.fixture(autouse=True)
def replacing(monkeypatch):
    """`dataclasses.replace` as Python 3.13 has it: of anything that says how."""

    def do(one: Any, **given: Any) -> Any:
        return one.__replace__(**given) if hasattr(one, "__replace__") else replace(one, **given)

    monkeypatch.setattr("ft_eval.run.flight.replace", do)


def test_one_thread_at_a_time_has_the_turn_and_every_job_is_run():
    log: list[Any] = []
    fly(list(range(12)), Runner(Workers(), SilentProgress(), log))  # type: ignore[arg-type] # jobs and runner are fakes
    assert sorted(job for what, job, _ in log if what == "done") == list(range(12))
    steps = [entry for entry in log if entry[0] != "done"]
    for entered, left in zip(steps[::2], steps[1::2], strict=True):
        assert (entered[0], left[0]) == ("in", "out")
        assert entered[1:] == left[1:]
    assert [job for what, job, _ in log if what == "in"] != sorted([*range(12), *range(12)])  # some were in flight


def test_a_job_that_fails_ends_the_others_and_no_further_one_begins():
    log: list[Any] = []
    with pytest.raises(EngineError, match="the device is lost"):
        fly(list(range(100)), Runner(Workers(), SilentProgress(), log, failing=3))  # type: ignore[arg-type] # the same
    assert max(job for _, job, _ in log) < 10


def test_ray_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setattr(opening, "find_spec", lambda _: None)
    with pytest.raises(
        UsageError, match=r"--executor ray needs Ray, which is not installed; pip install 'ft-eval\[ray\]'"
    ):
        ExecutorOptions(name="ray")


def test_a_place_for_workers_of_no_cluster_writes_nothing(server, tmp_path):
    pytest.importorskip("ray")
    command = ["run", "--ckpt", str(toy_dir()), "--tasks", "toy_mmlu", "--limit", "2", "--offline", "-o", "out"]
    assert server.run(tmp_path, [*command, "--executor", "ray", "--ray-address", "not an address"]) == 2
    said = (tmp_path / "output.txt").read_text()
    assert "error: --ray-address not an address: no Ray cluster there" in said
    assert not Path(tmp_path / "out").exists()
