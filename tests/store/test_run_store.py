"""A run's folder is whole at every instant, and comes back as it was stored."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

import pytest

from ft_eval import records
from ft_eval.records import PromptUsage, SampleResult
from ft_eval.store.codec import FORMAT_VERSION
from ft_eval.store.run_store import RunStore, find_latest_run
from tests.store.refusals import refusal

RECORDS = [value for value in vars(records).values() if isinstance(value, type) and is_dataclass(value)]


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


def test_a_store_that_was_opened_to_read_does_not_write(finished, plan, make_result):
    store = RunStore.open(finished)
    with pytest.raises(AssertionError, match="opened to be read"):
        store.responses(plan.jobs[1].id)
    with pytest.raises(AssertionError, match="opened to be read"):
        store.finish(make_result(plan.jobs[1].id), [])


def test_a_done_job_is_not_finished_twice(finished, plan, job_id, make_result):
    with RunStore.open_or_create(finished, plan) as store, pytest.raises(AssertionError, match="done already"):
        store.finish(make_result(job_id), [])


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
