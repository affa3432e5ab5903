"""What lies in a run and is not what was stored there is refused by its name."""

import os
import shutil

import pytest

from ft_eval.store.run_store import RunStore
from tests.store.refusals import refusal


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


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "", ".", "0" * 12, "A" * 12, "x" * 5000, "run\0"])
def test_a_name_that_is_no_job_of_the_run_never_becomes_a_path(finished, name):
    store = RunStore.open(finished)
    for call in (store.is_done, store.result, store.samples):
        assert "no job" in refusal(call, name)
