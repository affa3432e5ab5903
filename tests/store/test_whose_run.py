"""A run's folder is one run's, written by one process: any other is told in one line, and nothing is touched."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ft_eval.records import Arm, LatentSource, RunPlan
from ft_eval.store.run_store import RunStore, find_latest_run
from tests.store.refusals import refusal


def with_jobs(plan: RunPlan, **changes) -> RunPlan:
    return replace(plan, jobs=tuple(replace(job, **changes) for job in plan.jobs))


def with_checkpoints(plan: RunPlan, **changes) -> RunPlan:
    return replace(plan, jobs=tuple(replace(job, checkpoint=replace(job.checkpoint, **changes)) for job in plan.jobs))


def with_policy(plan: RunPlan, **changes) -> RunPlan:
    first, second = plan.jobs
    assert second.latents is not None
    return replace(plan, jobs=(first, replace(second, latents=replace(second.latents, **changes))))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda plan: with_checkpoints(plan, digest="c" * 64),
            "gsm8k on base: weights, config or tokenizer with sha256 aaaaaaaaaaaa there and cccc",
        ),
        (lambda plan: with_checkpoints(plan, dtype="float16"), "dtype float32 there and float16 here"),
        (lambda plan: with_jobs(plan, seed=2), "gsm8k on base: seed 1 there and 2 here"),
        (lambda plan: with_policy(plan, num_draws=1), "gsm8k on ft: latent policy prior x 4 there and prior x 1 here"),
        (lambda plan: with_policy(plan, source=LatentSource.ZERO), "latent policy prior x 4 there and zero x 4 here"),
        (lambda plan: replace(plan, jobs=plan.jobs[:1]), "checkpoint ft is only there"),
        (lambda plan: replace(plan, jobs=plan.jobs * 2), "it has 2 jobs there and 4 here"),
        (
            lambda plan: replace(plan, jobs=plan.jobs[::-1]),
            "the order differs: gsm8k on base there where gsm8k on ft is here",
        ),
        (
            lambda plan: replace(plan, primary=("gsm8k",), margin_points=2.0),
            "--primary none there and gsm8k here; choose another --output-path; `ft-eval report` takes other terms",
        ),
        (lambda plan: replace(plan, margin_points=2.0), "--margin none there and 2 here"),
        (lambda plan: with_checkpoints(plan, name="other"), "checkpoint base is only there"),
        (lambda plan: with_checkpoints(plan, arm=Arm.LATENT, baseline="x"), "base: baseline none there and x here"),
    ],
)
def test_another_runs_folder_is_refused_by_what_differs(finished, plan, change, words):
    message = refusal(RunStore.open_or_create, finished, change(plan))
    assert words in message
    assert "another run" in message
    assert "choose another --output-path" in message


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"version": "4"}, "task version 3 there and 4 here"),
        ({"num_fewshot": 0}, "few-shot count 5 there and 0 here"),
        ({"settings_digest": "e" * 64}, "gsm8k on base: task file with sha256 none there and eeeeeeeeeeee here"),
        ({"limit": 10}, "limit None there and 10 here"),
        ({"dataset_digest": "f" * 64}, "data with sha256 none there and ffffffffffff here"),
        ({"name": "mmlu"}, "task gsm8k is only there"),
    ],
)
def test_a_folder_with_other_tasks_is_refused_by_what_differs(finished, make_plan, task, words):
    assert words in refusal(RunStore.open_or_create, finished, make_plan(**task))


def test_a_refused_plan_leaves_the_run_as_it_was_and_unlocked(finished, plan):
    before = (finished / "run.json").read_bytes(), (finished / "run.json").stat().st_mtime_ns
    refusal(RunStore.open_or_create, finished, with_jobs(plan, seed=2))
    assert ((finished / "run.json").read_bytes(), (finished / "run.json").stat().st_mtime_ns) == before
    RunStore.open_or_create(finished, plan).close()


def test_create_refuses_a_folder_that_holds_a_run_even_the_same(finished, plan):
    assert "already holds a run" in refusal(RunStore.create, finished, plan)


@pytest.mark.parametrize("start", [RunStore.create, RunStore.open_or_create])
def test_a_folder_with_anything_else_in_it_is_refused_and_left_alone(tmp_path, plan, start):
    (tmp_path / "notes.txt").write_text("mine")
    message = refusal(start, tmp_path, plan)
    assert "no run and not empty (it holds 'notes.txt')" in message
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_start_that_was_killed_before_the_plan_was_stored_can_start_again(tmp_path, plan):
    (tmp_path / "run.lock").write_text("process 1 on gone\n")
    (tmp_path / ".run.json.tmp").write_text('{"format_ver')
    with RunStore.create(tmp_path, plan) as store:
        assert store.plan == plan
    assert RunStore.open(tmp_path).plan == plan


def test_a_file_in_place_of_the_folder_or_above_it_is_one_clear_line(tmp_path, plan):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        assert "choose another --output-path" in refusal(RunStore.open_or_create, path, plan)
    assert "no run here" in refusal(RunStore.open, tmp_path / "file")


def test_a_read_only_disk_is_one_clear_line(tmp_path, plan):
    mount, folder = shutil.which("mount"), tmp_path / "disk"
    folder.mkdir()
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "ro", "tmpfs", folder], check=False).returncode:
        pytest.skip("a file system can't be mounted here")
    try:
        for path in (folder, folder / "run"):
            message = refusal(RunStore.open_or_create, path, plan)
            assert "Read-only file system; check who owns it, or choose another --output-path" in message
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Permission bits do not bind root: become nobody for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(("mode", "action"), [(0o555, "make the folder"), (0o444, "read")])
def test_a_folder_that_may_not_be_written_or_entered_is_one_clear_line(plan, mode, action):
    folder = Path(tempfile.mkdtemp())  # tmp_path's parents are closed to others
    try:
        folder.chmod(mode)
        with unprivileged():
            message = refusal(RunStore.open_or_create, folder / "run", plan)
            assert f"can't {action}: Permission denied; check who owns it" in message
            assert "no run here" in refusal(RunStore.open, folder / "run")
            assert find_latest_run(folder / "run") is None
            assert find_latest_run(folder) is None
    finally:
        folder.chmod(0o700)
        folder.rmdir()


def test_a_second_writer_is_told_who_is_writing_and_a_reader_is_not_kept_out(tmp_path, plan):
    with RunStore.create(tmp_path / "run", plan):
        message = refusal(RunStore.open_or_create, tmp_path / "run", plan)
        assert f"in use by process {os.getpid()} on " in message
        assert RunStore.open(tmp_path / "run").plan == plan
    RunStore.open_or_create(tmp_path / "run", plan).close()


HOLDER = """
import sys, time
from pathlib import Path
from ft_eval.store.run_store import RunStore

path = Path(sys.argv[1])
store = RunStore.open_or_create(path, RunStore.open(path).plan)
print("held", flush=True)
time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free(finished, plan):
    with subprocess.Popen([sys.executable, "-c", HOLDER, finished], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert f"process {holder.pid} on" in refusal(RunStore.open_or_create, finished, plan)
        os.kill(holder.pid, signal.SIGKILL)
    RunStore.open_or_create(finished, plan).close()
