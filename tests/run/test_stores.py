"""A run in an object store, killed again and again, its machine lost each time: it ends in the bytes of a local one.

The real command against a local server that speaks S3. A machine is a cache folder.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from ft_eval.resources import toy_dir
from tests.run.warm import Server, contents

pytest.importorskip("s3fs")
pytest.importorskip("moto")

ARGV = ["--tasks", "toy_gsm8k,toy_mmlu", "--limit", "16", "--batch-size", "4", "--offline"]


class Store:
    """The server, and what its bucket holds."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("store_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        self.environment = {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.address,
        }

    def fetch(self, name: str, folder: Path) -> Path:
        """All objects below a name, as files."""
        import boto3

        client = boto3.client(
            "s3",
            endpoint_url=self.address,
            aws_access_key_id="key",
            aws_secret_access_key="secret",  # noqa: S106 — of a server of our own
            region_name="us-east-1",
        )
        for page in client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=f"{name}/"):
            for about in page.get("Contents", ()):
                path = folder / about["Key"].removeprefix(f"{name}/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(client.get_object(Bucket="bucket", Key=about["Key"])["Body"].read())
        client.close()
        return folder

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.close()


def command(place: str) -> list[str]:
    return ["run", "--ckpt", str(toy_dir()), *ARGV, "-o", place]


def said(folder: Path) -> str:
    return (folder / "output.txt").read_text()


def keys(folder: Path) -> set[str]:
    """Jobs and requests of all answers in a run's folder, in logs and in segments."""
    lines = [
        (path.relative_to(folder).parts[1], json.loads(line)["key"])
        for path in (*folder.glob("jobs/*/responses.jsonl"), *folder.glob("jobs/*/responses/*.jsonl"))
        for line in path.read_bytes().split(b"\n")[:-1]
    ]
    return {f"{job}/{key}" for job, key in lines}


def scored(folder: Path) -> dict[str, bytes]:
    """What a run came to; its plan names the command, which has the place in it, and by its id the work."""
    found = contents(folder)
    plan = json.loads(found.pop("run.json"))
    return {**found, "run": plan["run_id"].encode()}


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def hold_to_local_run(server: Server, store: Store, tmp_path: Path, num_kills: int) -> tuple[int, int]:
    """Kill a run so many times, each time losing its machine; the answers that were kept, and those computed again."""
    local, rng = tmp_path / "local", random.Random(3)
    local.mkdir()
    started = time.monotonic()
    assert server.run(local, command("out")) == 0, said(local)
    seconds, expected = time.monotonic() - started, scored(local / "out")
    num_done, num_kept, num_again = 0, 0, 0
    for number in count():
        if num_done == num_kills:
            return num_kept, num_again
        name = f"run-{num_kills}-{number}"
        killed = tmp_path / name
        killed.mkdir()
        before: set[str] = set()
        for attempt in range(1000):
            environment = {**store.environment, "XDG_CACHE_HOME": str(killed / f"machine-{attempt}")}
            computed = size(killed / "computed")
            pid = server.start(killed, command(f"s3://bucket/{name}"), **environment)
            if num_done < num_kills:
                time.sleep(rng.uniform(0.2, 1.0) * seconds)
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            status = server.wait()
            after = keys(store.fetch(name, killed / f"seen-{attempt}"))
            assert after >= before, "an answer that was in the store is gone"
            num_new = size(killed / "computed") - computed
            num_found = len(after - before)
            num_kept += num_found
            num_again += num_new - num_found
            before = after
            if status == 0:
                assert num_new == num_found, "what the store had was computed again"
                break
            assert status == -signal.SIGKILL, said(killed)
            num_done += 1
        assert scored(store.fetch(name, killed / "out")) == expected
        assert not list((killed / "out").glob("jobs/*/responses")), "segments are left"
        assert not (killed / "out" / "run.lease").exists()
    raise AssertionError("a count has no end")


def test_a_run_in_a_store_survives_the_loss_of_its_machines(server, store, tmp_path):
    hold_to_local_run(server, store, tmp_path, 3)


@pytest.mark.slow
def test_a_run_in_a_store_survives_the_loss_of_twenty_machines(server, store, tmp_path, capsys):
    num_kept, num_again = hold_to_local_run(server, store, tmp_path, 20)
    with capsys.disabled():
        print(f"\n20 kills: {num_kept} answers kept, {num_again} computed again")  # noqa: T201 — the count


def test_two_machines_on_one_run_a_missing_bucket_and_a_lost_store_are_a_line_each(server, store, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    here, there = ({**store.environment, "XDG_CACHE_HOME": str(folder / "cache")} for folder in (one, two))
    pid = server.start(one, command("s3://bucket/shared"), **here)
    lease = tmp_path / "seen" / "run.lease"
    while not lease.exists():
        store.fetch("shared", lease.parent)
    os.kill(pid, signal.SIGSTOP)  # it lives and says nothing
    other = Server(tmp_path)
    try:
        assert other.run(two, command("s3://bucket/shared"), **there) == 2
        assert f"error: s3://bucket/shared is in use by process {pid} on " in said(two)
        os.kill(pid, signal.SIGCONT)
        assert server.wait() == 0, said(one)
        assert other.run(two, command("s3://no-such-bucket/run"), **there) == 2
        assert "error: s3://no-such-bucket/run: can't list: no such bucket" in said(two)
        lost = {**there, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
        assert other.run(two, ["status", "s3://bucket/shared"], **lost) == 4
        assert "Could not connect" in said(two)
        assert "Traceback" not in said(two)
        assert other.run(two, ["status", "s3://bucket/shared"], **there) == 0
        assert "s3://bucket/shared: done" in said(two)
        assert other.run(two, ["report", "s3://bucket/shared"], **there) == 0
        (two / "policy.toml").write_text("allow_limit = true\n[all]\nmax_unscored_share = 0.0\n")
        assert other.run(two, ["gate", "s3://bucket/shared", "--policy", str(two / "policy.toml")], **there) == 0
        assert "gate: pass" in said(two)
        assert store.fetch("shared", tmp_path / "all").joinpath("report.html").stat().st_size > 10_000
    finally:
        other.close()
