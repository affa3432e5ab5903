"""A run on a disk without room ends in one line, keeps what it has, and goes on when there is room. Needs mount(8)."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ft_eval.resources import toy_dir
from tests.run.warm import Server, contents

pytestmark = pytest.mark.slow


def command() -> list[str]:
    argv = ["--tasks", "toy_gsm8k,toy_mmlu", "--limit", "16", "--batch-size", "4", "--offline", "-o", "out/run"]
    return ["run", "--ckpt", str(toy_dir()), *argv]


@contextmanager
def disk(folder: Path, options: str) -> Iterator[None]:
    """A small disk at a folder."""
    folder.mkdir(parents=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    if os.geteuid() != 0:
        pytest.skip("only root mounts disks")
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.mark.parametrize(
    ("options", "room"),
    [
        *((f"size={pages * 4096}", "size=64m") for pages in (1, 2, 4, 8, 16, 24, 32)),
        *((f"nr_inodes={number}", "nr_inodes=1000") for number in (2, 4, 6, 8, 12, 16, 20)),
    ],
)
def test_a_run_without_room_keeps_what_it_has_and_the_same_command_goes_on(server, tmp_path, options, room, capsys):
    whole, folder = tmp_path / "whole", tmp_path / "small"
    whole.mkdir()
    assert server.run(whole, command()) == 0, (whole / "output.txt").read_text()
    with disk(folder / "out", options):
        code = server.run(folder, command())
        lines = [line for line in (folder / "output.txt").read_text().splitlines() if line.startswith("error: ")]
        assert code == 4, (folder / "output.txt").read_text()
        assert len(lines) == 1
        assert "make room and run the same command again" in lines[0]
        assert "Traceback" not in (folder / "output.txt").read_text()
        found = sum(path.read_bytes().count(b"\n") for path in (folder / "out").glob("run/jobs/*/responses.jsonl"))
        subprocess.run(["mount", "-o", f"remount,{room}", str(folder / "out")], check=True)
        assert server.run(folder, command()) == 0, (folder / "output.txt").read_text()
        assert contents(folder / "out" / "run") == contents(whole / "out" / "run")
        num_answers = sum(
            path.read_bytes().count(b"\n") for path in (folder / "out").glob("run/jobs/*/responses.jsonl")
        )
    with capsys.disabled():
        print(f"\n{options}: exit code 4 after {found} of {num_answers} answers, then 0")  # noqa: T201 — what one runs this for
