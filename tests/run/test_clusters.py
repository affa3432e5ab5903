"""A whole run on a real Ray cluster whose nodes and head are killed in the middle: it ends in a local one's bytes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ft_eval.resources import toy_dir
from tests.executors.nodes import Nodes
from tests.run.warm import contents

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ARGV = ["run", "--ckpt", str(toy_dir()), "--tasks", "toy_gsm8k,toy_mmlu", "--latents", "prior", "--z-draws", "2"]
ARGV += ["--limit", "100", "--offline", "-o", "out"]
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


def start(folder: Path, *flags: str, **environment: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "ft_eval", *ARGV, *flags],
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("local")
    code, said = finish(start(folder))
    assert code == 0, said
    return answered(folder)


def answered(folder: Path) -> dict[str, bytes]:
    """All but the plan, which names the command."""
    return {name: data for name, data in contents(folder / "out").items() if name != "run.json"}


def num_answers(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (folder / "out").glob("jobs/*/responses.jsonl"))


def wait_for_answers(folder: Path, process: subprocess.Popen[str], number: int) -> None:
    while num_answers(folder) < number:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.fixture
def cluster() -> Iterator[Callable[[int], Nodes]]:
    made: list[Nodes] = []

    def make(num_nodes: int) -> Nodes:
        made.append(Nodes(num_nodes))
        return made[-1]

    yield make
    for nodes in made:
        nodes.close()


@pytest.fixture
def tell(capsys) -> Callable[[str], None]:
    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", flush=True)  # noqa: T201 — the table is what one runs this for

    return say


@pytest.mark.parametrize("num_nodes", [1, 2])
def test_any_number_of_nodes_answers_as_one_process_does(num_nodes, cluster, expected, tmp_path, tell):
    nodes, started = cluster(num_nodes), time.monotonic()
    code, said = finish(start(tmp_path, "--executor", "ray", "--ray-address", nodes.address))
    assert code == 0, said
    assert answered(tmp_path) == expected
    tell(f"{num_nodes} nodes, none killed: {time.monotonic() - started:.0f} s, all files equal")


def test_a_node_that_is_killed_in_the_middle_costs_no_answer(cluster, expected, tmp_path, tell):
    nodes = cluster(2)
    process = start(tmp_path, "--executor", "ray", "--ray-address", nodes.address)
    wait_for_answers(tmp_path, process, 20)
    found = num_answers(tmp_path)
    nodes.tell("kill")
    code, said = finish(process)
    assert code == 0, said
    assert answered(tmp_path) == expected
    tell(f"2 nodes, 1 killed after {found} answers: exit code {code}, all files equal")


def test_a_run_whose_head_is_lost_goes_on_by_the_same_command(cluster, expected, tmp_path, tell):
    nodes = cluster(2)
    process = start(tmp_path, "--executor", "ray", "--ray-address", nodes.address)
    wait_for_answers(tmp_path, process, 20)
    nodes.tell("head")
    code, said = finish(process)
    assert code == 2, said
    assert "run the same command" in said
    assert "Traceback" not in said
    found = num_answers(tmp_path)
    assert found >= 20
    again = cluster(2)
    code, said = finish(start(tmp_path, "--executor", "ray", "--ray-address", again.address))
    assert code == 0, said
    assert answered(tmp_path) == expected
    tell(f"2 nodes, head killed, {found} answers kept: exit code 2; then on another cluster: 0, all files equal")


@pytest.fixture
def started_cluster(tmp_path_factory) -> Iterator[dict[str, str]]:
    """What `ray start --head` makes, in a folder of its own: `auto` finds the cluster of that folder."""
    folder = Path("/tmp") / f"ft-ray-{os.getpid()}"  # noqa: S108 — short: its sockets' names have a limit
    folder.mkdir(mode=0o700)
    environment = {"RAY_TMPDIR": str(folder)}
    arguments = ["start", "--head", "--port=0", "--num-cpus=2", "--include-dashboard=false", "--block"]
    arguments += ["--disable-usage-stats", "--object-store-memory=80000000", "--node-ip-address=127.0.0.1"]
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", *arguments],
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(folder.rglob("ray_current_cluster")) and time.monotonic() < deadline:
        assert head.poll() is None
        time.sleep(0.1)
    yield environment
    os.killpg(head.pid, signal.SIGTERM)
    try:
        head.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(head.pid, signal.SIGKILL)
        head.wait()
    subprocess.run(["rm", "-r", str(folder)], check=True)


def test_auto_finds_the_cluster_that_ray_start_made(started_cluster, expected, tmp_path, tell):
    code, said = finish(start(tmp_path, "--executor", "ray", "--ray-address", "auto", **started_cluster))
    assert code == 0, said
    assert answered(tmp_path) == expected
    tell("--ray-address auto, `ray start --head`, 2 workers: all files equal")


def test_a_run_that_is_done_needs_no_cluster(expected, tmp_path):
    code, said = finish(start(tmp_path))
    assert code == 0, said
    code, said = finish(start(tmp_path, "--executor", "ray", "--ray-address", "127.0.0.1:1"))
    assert code == 0, said
