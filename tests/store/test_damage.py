"""What a bad disk did to a run is found whatever byte it hit, named, set aside and computed again; never believed."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ft_eval.errors import StoreError
from ft_eval.records import RunPlan
from ft_eval.store.codec import FORMAT_VERSION
from ft_eval.store.run_store import RunStore

JOB_FILES = ("result.json", "cost.json", "samples.jsonl")


@pytest.fixture
def plan(make_plan) -> RunPlan:
    return make_plan()


@pytest.fixture
def finished(tmp_path, plan, make_result, make_sample, monkeypatch) -> Path:
    """A run in which the first of two jobs is done; nothing waits for the disk, as thousands are opened here."""
    for name in ("os.fsync", "ft_eval.store.response_log._sync_data"):
        monkeypatch.setattr(name, lambda _fd: None)
    job_id = plan.jobs[0].id
    with RunStore.create(tmp_path / "run", plan) as store:
        store.finish(
            make_result(job_id), [replace(make_sample(job_id, index), seconds=0.25 + index) for index in (0, 1)]
        )
    return tmp_path / "run"


def damaged(data: bytes) -> list[bytes]:
    """The file with one bit flipped at every byte, and cut at every byte."""
    flipped = [data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :] for at in range(len(data))]
    return flipped + [data[:at] for at in range(len(data))]


def repaired(path: Path, plan: RunPlan) -> tuple[list[str], bool]:
    """What a continued run is told, and whether its first job is done still."""
    notices: list[str] = []
    with RunStore.open_or_create(path, plan, notices.append) as store:
        return notices, store.is_done(plan.jobs[0].id)


def read(path: Path, plan: RunPlan) -> object:
    """All that a report reads."""
    store, job_id = RunStore.open(path), plan.jobs[0].id
    return store.plan, store.result(job_id), list(store.samples(job_id))


def restore(path: Path, data: bytes) -> None:
    for bad in path.parent.glob("*.bad.json*"):
        bad.rename(bad.with_name(bad.name.replace(".bad", "")))
    path.write_bytes(data)


@pytest.mark.parametrize("name", JOB_FILES)
def test_a_flip_or_a_cut_at_any_byte_of_a_finished_job_is_named_and_the_job_scored_again(finished, plan, name):
    path = finished / "jobs" / plan.jobs[0].id / name
    data, whole = path.read_bytes(), read(finished, plan)
    for number, content in enumerate(damaged(data)):
        path.write_bytes(content)
        with pytest.raises(StoreError, match=name):
            read(finished, plan)
        if number % 7 == 0:  # the writer's check is the reader's; setting aside costs renames
            notices, is_done = repaired(finished, plan)
            assert not is_done
            assert len(notices) == 1
            assert str(path) in notices[0]
            assert "gsm8k on base is scored again" in notices[0]
            restore(path, data)
    path.write_bytes(data)
    assert read(finished, plan) == whole


def test_a_flip_or_a_cut_at_any_byte_of_the_plan_is_found_and_the_same_command_writes_it_again(finished, plan):
    path = finished / "run.json"
    data = path.read_bytes()
    for number, content in enumerate(damaged(data)):
        path.write_bytes(content)
        with pytest.raises(StoreError, match=r"run\.json"):
            RunStore.open(finished)
        if number % 7 == 0:
            notices, is_done = repaired(finished, plan)
            assert is_done
            assert notices == [
                f"{path}: its checksum is wrong: cut short, damaged or edited; set aside and written again"
            ]
            assert path.read_bytes() == data
            path.with_name("run.bad.json").unlink()


def test_a_damaged_plan_over_jobs_of_another_command_is_refused(finished, plan, make_plan):
    path = finished / "run.json"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreError, match=rf"checksum is wrong.*jobs/{plan.jobs[0].id} is no job of this command"):
        RunStore.open_or_create(finished, make_plan(version="99"))
    assert not (finished / "run.bad.json").exists()


@pytest.mark.parametrize("name", ["cost.json", "samples.jsonl"])
def test_a_lost_file_of_a_finished_job_is_named_and_the_job_scored_again(finished, plan, name):
    path = finished / "jobs" / plan.jobs[0].id / name
    path.unlink()
    with pytest.raises(StoreError, match=name):
        read(finished, plan)
    notices, is_done = repaired(finished, plan)
    assert not is_done
    assert notices == [f"{path}: lost; set aside, gsm8k on base is scored again"]


def test_another_jobs_cost_is_not_taken_for_this_ones(finished, plan, make_result):
    first, second = (job.id for job in plan.jobs)
    with RunStore.open_or_create(finished, plan) as store:
        store.finish(make_result(second), [])
    shutil.copy(finished / "jobs" / second / "cost.json", finished / "jobs" / first / "cost.json")
    with pytest.raises(StoreError, match=r"cost\.json: of 0 samples, not of this result's"):
        RunStore.open(finished).result(first)


def test_a_damaged_line_of_answers_is_told_and_the_rest_are_kept(finished, plan, make_answer):
    job_id = plan.jobs[1].id
    with RunStore.open_or_create(finished, plan) as store, store.responses(job_id) as log:
        for index in range(3):
            log.append(make_answer(index))
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(lines[0] + lines[1].replace(b"generate/1", b"generate/7") + lines[2] + lines[2][:40])
    notices: list[str] = []
    with RunStore.open_or_create(finished, plan, notices.append) as store, store.responses(job_id) as log:
        assert [log.get(make_answer(index).key) is not None for index in range(3)] == [True, False, True]
    damage = "1 damaged line set aside in responses.bad.jsonl, a torn last line cut off"
    assert notices == [f"{log.path}: {damage}; what stood there is asked again"]


def test_a_result_of_a_later_format_is_refused_not_set_aside(finished, plan, monkeypatch, make_result):
    monkeypatch.setattr("ft_eval.store.codec.FORMAT_VERSION", FORMAT_VERSION + 1)
    with RunStore.open_or_create(finished, plan) as store:
        store.finish(make_result(plan.jobs[1].id), [])
    monkeypatch.undo()
    with pytest.raises(StoreError, match="upgrade ft-eval"):
        RunStore.open_or_create(finished, plan)
    assert (finished / "jobs" / plan.jobs[1].id / "result.json").is_file()


def test_two_runs_of_the_same_work_have_the_same_bytes_but_for_their_cost(tmp_path, plan, make_result, make_sample):
    job_id = plan.jobs[0].id
    for number, name in enumerate(("a", "b"), start=1):
        result = replace(make_result(job_id), seconds=float(number), peak_memory_bytes=number, started_at=f"{number}")
        with RunStore.create(tmp_path / name, plan) as store:
            store.finish(result, [replace(make_sample(job_id, 0), seconds=number / 3)])
        assert store.result(job_id) == result
        assert [sample.seconds for sample in store.samples(job_id)] == [number / 3]
    for name, same in (("result.json", True), ("samples.jsonl", True), ("cost.json", False)):
        one, other = (tmp_path / run / "jobs" / job_id / name for run in ("a", "b"))
        assert (one.read_bytes() == other.read_bytes()) == same
