"""A run that is killed again and again, at any moment, ends in the bytes of one that never was.

The toy pair is asked for completions, log-likelihoods and programs by the real command. SIGKILL, to the process alone
or to its whole group; then the same command again.
"""

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ft_eval.resources import toy_dir
from tests.run.warm import Server, contents

BATCH = 4
ARGV = ["--tasks", "toy_gsm8k,toy_mmlu,toy_humaneval", "--limit", "6", "--latents", "prior", "--z-draws", "2"]
ARGV += ["--batch-size", str(BATCH), "--offline", "-o", "out"]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


def command() -> list[str]:
    return ["run", "--ckpt", str(toy_dir()), *ARGV]


def reported(server: Server, folder: Path, clocks: Path) -> dict[str, bytes]:
    """The report and its exports, after the run was given another's clocks."""
    for path in (*(clocks / "out" / "jobs").glob("*/cost.json"), clocks / "out" / "run.json"):
        with suppress(shutil.SameFileError):
            shutil.copy(path, folder / "out" / path.relative_to(clocks / "out"))
    assert server.run(folder, ["report", "out"]) == 0, (folder / "output.txt").read_text()
    made = [path for path in (folder / "out").iterdir() if path.stem in {"report", "scores"}]
    assert len(made) >= 5
    return {path.name: path.read_bytes() for path in made}


@dataclass
class Tally:
    """What the kills hit and what they cost."""

    num_kills: int = 0
    num_computed_again: int = 0
    num_torn: int = 0
    phases: Counter[str] = field(default_factory=Counter)


def phase(folder: Path) -> str:
    """What a killed run was at."""
    if not (folder / "out" / "run.json").exists():
        return "before the plan was stored"
    jobs = list((folder / "out" / "jobs").glob("*"))
    if any(not (job / "result.json").exists() and (job / "samples.jsonl").exists() for job in jobs):
        return "between samples and result"
    num_done = sum((job / "result.json").exists() for job in jobs)
    return f"{num_done} jobs done"


def num_lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (folder / "out" / "jobs").glob("*/responses.jsonl"))


def killed_run(server: Server, folder: Path, seconds: float, rng: random.Random, tally: Tally, limit: int) -> None:
    """One run in a folder, killed at random moments until it is through or the tally has its kills."""
    folder.mkdir()
    before = 0
    while True:
        pid = server.start(folder, command())
        if tally.num_kills < limit:
            time.sleep(rng.uniform(0.0, seconds))
            with suppress(ProcessLookupError):  # through, or not yet in its own group
                (os.killpg if rng.random() < 0.5 else os.kill)(pid, signal.SIGKILL)
        status = server.wait()
        if status == 0:
            break
        assert status == -signal.SIGKILL, (folder / "output.txt").read_text()
        tally.num_kills += 1
        tally.phases[phase(folder)] += 1
        after = num_lines(folder)
        assert after >= before, "an answer that was on disk is gone"
        before = after
        tally.num_torn += sum(
            not path.read_bytes().endswith(b"\n")
            for path in (folder / "out").glob("jobs/*/responses.jsonl")
            if path.stat().st_size
        )
    num_finished = (folder / "computed").stat().st_size
    tally.num_computed_again += num_finished - num_lines(folder)


def seconds_of_a_run(server: Server, folder: Path) -> float:
    """What a run takes once the caches are warm, as they are for all that are killed."""
    folder.mkdir()
    started = time.monotonic()
    assert server.run(folder, command()) == 0, (folder / "output.txt").read_text()
    return time.monotonic() - started


def hold_to_whole_run(server: Server, tmp_path: Path, num_kills: int) -> Tally:
    whole = tmp_path / "whole"
    whole.mkdir()
    assert server.run(whole, command()) == 0, (whole / "output.txt").read_text()
    seconds = seconds_of_a_run(server, tmp_path / "warm")
    expected, tally, rng = contents(whole / "out"), Tally(), random.Random(7)
    assert num_lines(whole) == (whole / "computed").stat().st_size
    report = reported(server, whole, whole)
    while tally.num_kills < num_kills:
        folder = tmp_path / f"killed-{len(list(tmp_path.iterdir()))}"
        killed_run(server, folder, seconds, rng, tally, num_kills)
        assert contents(folder / "out") == expected
        assert reported(server, folder, whole) == report
    assert tally.num_computed_again <= BATCH * tally.num_kills
    return tally


def show(tally: Tally, capsys: Any) -> None:
    with capsys.disabled():
        print(f"\n{tally}")  # noqa: T201 — the count is what one runs this for


def test_a_run_killed_now_and_then_ends_in_the_same_bytes(server, tmp_path):
    hold_to_whole_run(server, tmp_path, 5)


@pytest.mark.slow
def test_a_run_killed_fifty_times_ends_in_the_same_bytes(server, tmp_path, capsys):
    show(hold_to_whole_run(server, tmp_path, 50), capsys)
