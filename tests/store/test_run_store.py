"""A run's folder is one run's, written by one process, and whole at every instant."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest

from ft_eval import records
from ft_eval.errors import StoreError
from ft_eval.records import Arm, LatentSource, PromptUsage, RunPlan, SampleResult
from ft_eval.store.codec import FORMAT_VERSION
from ft_eval.store.run_store import RunStore, find_latest_run

RECORDS = [value for value in vars(records).values() if isinstance(value, type) and is_dataclass(value)]


@pytest.fixture
def plan(make_plan):
    return make_plan()


@pytest.fixture
def job_id(plan):
    return plan.jobs[0].id


@pytest.fixture
def finished(tmp_path, plan, job_id, make_result, make_sample):
    """A closed run in which the first of two jobs is done."""
    with RunStore.create(tmp_path / "run", plan) as store:
        store.finish(make_result(job_id), (make_sample(job_id, index) for index in range(2)))
    return tmp_path / "run"


def with_jobs(plan: RunPlan, **changes) -> RunPlan:
    return replace(plan, jobs=tuple(replace(job, **changes) for job in plan.jobs))


def with_checkpoints(plan: RunPlan, **changes) -> RunPlan:
    return replace(plan, jobs=tuple(replace(job, checkpoint=replace(job.checkpoint, **changes)) for job in plan.jobs))


def with_policy(plan: RunPlan, **changes) -> RunPlan:
    first, second = plan.jobs
    assert second.latents is not None
    return replace(plan, jobs=(first, replace(second, latents=replace(second.latents, **changes))))


def refusal(function, *arguments) -> str:
    """The one line that a call is refused with."""
    with pytest.raises(StoreError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_run_comes_back_as_it_was_stored(finished, plan, job_id, make_result, make_sample):
    with RunStore.open(finished) as store:
        assert store.plan == plan
        assert store.path == finished
        assert store.is_done(job_id)
        assert store.result(job_id) == make_result(job_id)
        assert list(store.samples(job_id)) == [make_sample(job_id, index) for index in range(2)]


def without(plain, names):
    """JSON without these keys, however deep."""
    if isinstance(plain, dict):
        return {key: without(value, names) for key, value in plain.items() if key not in names}
    return [without(value, names) for value in plain] if isinstance(plain, list) else plain


def test_a_run_of_the_first_format_is_read_whole(finished, plan, job_id, make_result, make_sample):
    """It knows nothing of prompt usage, deep inside result.json, nor of checksums and a file of clocks."""
    folder = finished / "jobs" / job_id
    result = json.loads((folder / "result.json").read_bytes())
    cost = json.loads((folder / "cost.json").read_bytes())
    result["result"] |= {name: cost[name] for name in ("started_at", "seconds", "peak_memory_bytes")}
    (folder / "result.json").write_text(json.dumps(result), encoding="ascii")
    (folder / "cost.json").unlink()
    later = {"crc32"} | {
        field.name for record in RECORDS for field in fields(record) if field.metadata.get("since", 1) > 1
    }
    for path in (finished / "run.json", folder / "result.json"):
        old = {"format_version": 1} | without(json.loads(path.read_bytes()), later | {"format_version"})
        path.write_text(json.dumps(old), encoding="ascii")
    store = RunStore.open(finished)
    assert store.plan == plan
    assert store.result(job_id) == make_result(job_id)
    assert list(store.samples(job_id)) == [make_sample(job_id, index) for index in range(2)]


def test_prompt_usage_comes_back_with_its_result(tmp_path, plan, job_id, make_result):
    usage = PromptUsage(kl_bits=0.25, information_bits=float("inf"), num_tokens=64, num_prompts=2)
    with RunStore.create(tmp_path / "run", plan) as store:
        store.finish(replace(make_result(job_id), prompt_usage=usage), ())
    stored = RunStore.open(tmp_path / "run").result(job_id)
    assert stored is not None
    assert stored.prompt_usage == usage


def test_a_job_without_a_result_is_not_done(finished, plan):
    store = RunStore.open(finished)
    other = plan.jobs[1].id
    assert not store.is_done(other)
    assert store.result(other) is None
    assert "not finished" in refusal(store.samples, other)


def test_only_files_with_our_names_and_job_ids_lie_in_a_run(finished, job_id):
    names = sorted(str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file())
    folder = f"jobs/{job_id}"
    assert names == [
        *(f"{folder}/{name}" for name in ("cost.json", "result.json", "samples.jsonl")),
        "run.json",
        "run.lock",
    ]


def test_every_file_says_its_format_version_and_is_ascii(finished):
    for path in finished.rglob("*.json*"):
        data = path.read_bytes()
        assert data.isascii()
        assert all(json.loads(line)["format_version"] == FORMAT_VERSION for line in data.splitlines())


def test_an_interrupted_run_continues_with_its_answers_and_its_first_plan(tmp_path, plan, job_id, make_answer):
    with RunStore.open_or_create(tmp_path / "run", plan) as store, store.responses(job_id) as log:
        log.append(make_answer(1))
    again = replace(plan, command="ft-eval run --batch-size 1", engine=replace(plan.engine, batch_size=1))
    with RunStore.open_or_create(tmp_path / "run", again) as store:
        assert store.plan == plan
        with store.responses(job_id) as log:
            assert log.get(make_answer(1).key) == make_answer(1)


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


def test_a_store_that_was_opened_to_read_does_not_write(finished, plan, make_result):
    store = RunStore.open(finished)
    with pytest.raises(AssertionError, match="opened to be read"):
        store.responses(plan.jobs[1].id)
    with pytest.raises(AssertionError, match="opened to be read"):
        store.finish(make_result(plan.jobs[1].id), [])


def test_a_done_job_is_not_finished_twice(finished, plan, job_id, make_result):
    with RunStore.open_or_create(finished, plan) as store, pytest.raises(AssertionError, match="done already"):
        store.finish(make_result(job_id), [])


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "", ".", "0" * 12, "A" * 12, "x" * 5000, "run\0"])
def test_a_name_that_is_no_job_of_the_run_never_becomes_a_path(finished, name):
    store = RunStore.open(finished)
    for call in (store.is_done, store.result, store.samples):
        assert "no job" in refusal(call, name)


def test_a_sample_of_another_job_is_refused_and_the_job_is_not_done(tmp_path, plan, make_result, make_sample):
    first, second = (job.id for job in plan.jobs)
    with RunStore.create(tmp_path / "run", plan) as store:
        assert second in refusal(store.finish, make_result(first), [make_sample(second, 0)])
        assert not store.is_done(first)
    assert not list((tmp_path / "run").rglob("*.tmp"))


def test_a_crash_while_the_samples_are_made_leaves_no_half_of_them(tmp_path, plan, job_id, make_result, make_sample):
    def samples() -> Iterator[SampleResult]:
        yield make_sample(job_id, 0)
        raise KeyboardInterrupt

    with RunStore.create(tmp_path / "run", plan) as store:
        with pytest.raises(KeyboardInterrupt):
            store.finish(make_result(job_id), samples())
        assert not store.is_done(job_id)
        assert not list((store.path / "jobs" / job_id).iterdir())
        store.finish(make_result(job_id), [make_sample(job_id, 0)])
        assert store.is_done(job_id)


def test_result_is_written_after_samples(tmp_path, plan, job_id, make_result, make_sample, monkeypatch):
    placed: list[str] = []
    rename = type(tmp_path).replace

    def rename_and_tell(old, new) -> None:
        placed.append(new.name)
        rename(old, new)

    monkeypatch.setattr(type(tmp_path), "replace", rename_and_tell)
    with RunStore.create(tmp_path / "run", plan) as store:
        store.finish(make_result(job_id), [make_sample(job_id, 0)])
    assert placed == ["run.json", "samples.jsonl", "cost.json", "result.json"]


def test_damaged_samples_are_named_by_file_and_line(finished, job_id):
    path = finished / "jobs" / job_id / "samples.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b'"doc_id":1', b'"doc_id":"1"'))
    store = RunStore.open(finished)
    assert "samples.jsonl:2: SampleResult.doc_id: got '1'" in refusal(list, store.samples(job_id))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: data.index(b"\n") + 1],
        lambda data: data.replace(b'"exact_match/strict-match":0.0', b'"exact_match/strict-match":1.0'),
        lambda data: data[:0],
        lambda data: data + data,
    ],
    ids=["cut", "edited", "emptied", "doubled"],
)
def test_samples_that_are_not_what_was_stored_are_refused(finished, job_id, damage):
    path = finished / "jobs" / job_id / "samples.jsonl"
    path.write_bytes(damage(path.read_bytes()))
    message = refusal(list, RunStore.open(finished).samples(job_id))
    assert "samples.jsonl" in message
    assert "run the same command again" in message


def test_lost_samples_are_one_clear_line(finished, job_id):
    (finished / "jobs" / job_id / "samples.jsonl").unlink()
    assert "samples.jsonl: can't read: No such file" in refusal(list, RunStore.open(finished).samples(job_id))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\0" * 100, b'{"format_version":2}', b'{"format_version":1}', b"[" * 99999]
)
def test_a_damaged_plan_or_result_is_named_by_its_file(finished, job_id, content):
    store = RunStore.open(finished)
    (finished / "jobs" / job_id / "result.json").write_bytes(content)
    (finished / "run.json").write_bytes(content)
    assert "result.json" in refusal(store.result, job_id)
    assert "run.json" in refusal(RunStore.open, finished)


def test_a_plan_that_was_edited_is_refused(finished):
    path = finished / "run.json"
    path.write_bytes(path.read_bytes().replace(b'"seed":1', b'"seed":2'))
    assert "edited" in refusal(RunStore.open, finished)


def test_a_result_in_another_jobs_folder_is_refused(finished, plan, job_id):
    other = plan.jobs[1].id
    shutil.copytree(finished / "jobs" / job_id, finished / "jobs" / other)
    assert job_id in refusal(RunStore.open(finished).result, other)


def test_a_huge_file_in_place_of_a_result_is_not_read(finished, job_id):
    path = finished / "jobs" / job_id / "result.json"
    os.truncate(path, 2**40)
    assert "not its file" in refusal(RunStore.open(finished).result, job_id)


def test_a_pipe_in_place_of_a_result_is_no_result(finished, job_id):
    path = finished / "jobs" / job_id / "result.json"
    path.unlink()
    os.mkfifo(path)
    assert RunStore.open(finished).result(job_id) is None


def test_the_latest_run_is_the_one_that_was_last_active(tmp_path, plan, make_plan, make_result):
    assert find_latest_run(tmp_path) is None
    assert find_latest_run(tmp_path / "absent") is None
    first, second, third = tmp_path / "a", tmp_path / "runs" / "b", tmp_path / "runs" / "deep" / "c"
    for seconds, path in enumerate((first, second, third)):
        RunStore.create(path, plan).close()
        os.utime(path / "run.json", (seconds, seconds))
    (tmp_path / "runs" / "file").write_text("")
    assert find_latest_run(tmp_path) == second
    assert find_latest_run(third) == third
    RunStore.open_or_create(first, plan).close()
    assert find_latest_run(tmp_path) == first
    os.utime(first / "run.json", (1, 1))
    os.utime(second / "run.json", (0, 0))
    with RunStore.open_or_create(second, plan) as store:
        os.utime(second / "run.json", (0, 0))
        store.finish(make_result(plan.jobs[0].id), [])
    assert find_latest_run(tmp_path) == second


def test_a_full_disk_at_any_write_is_one_clear_line_and_loses_nothing(tmp_path, plan, job_id, make_result, make_sample):
    mount, folder = shutil.which("mount"), tmp_path / "disk"
    folder.mkdir()
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("a file system can't be mounted here")
    try:
        with RunStore.create(folder / "run", plan) as store:
            (folder / "filler").write_bytes(b"x" * 40_000)
            many = [make_sample(job_id, index) for index in range(500)]
            assert "run the same command again" in refusal(store.finish, make_result(job_id), many)
            assert not store.is_done(job_id)
            (folder / "filler").unlink()
            store.finish(make_result(job_id), many[:20])
        assert len(list(RunStore.open(folder / "run").samples(job_id))) == 20
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
