"""A run in a store is what its machines wrote: nothing is lost on the way, nothing is put over what another wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ft_eval.errors import RemoteError, StoreError
from ft_eval.store import RunStore
from ft_eval.store.remote.copy import WorkingCopy
from ft_eval.store.remote.objects import Objects, Stored
from ft_eval.store.remote.pull import pull


def stored(objects: Objects) -> dict[str, bytes]:
    return {name: objects.get(name) or b"" for name in objects.list()}


def files(folder: Path) -> dict[str, bytes]:
    ours = {"run.lock"}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ours
    }


@pytest.fixture
def answer(make_answer) -> Callable[..., None]:
    """Logs the answers with those numbers in a machine's copy of a job."""

    def log(machine: Any, plan: Any, numbers: range, job: int = 0) -> None:
        with (
            RunStore.open_or_create(machine.copy.folder, plan, machine.notices.append) as store,
            store.responses(plan.jobs[job].id) as responses,
        ):
            for number in numbers:
                responses.append(make_answer(number))

    return log


@pytest.fixture
def finish(make_sample, make_result) -> Callable[..., None]:
    def do(machine: Any, plan: Any, job: int = 0) -> None:
        job_id = plan.jobs[job].id
        with RunStore.open_or_create(machine.copy.folder, plan, machine.notices.append) as store:
            store.finish(make_result(job_id), [make_sample(job_id, 0), make_sample(job_id, 1)])

    return do


def num_logged(machine: Any, plan: Any, job: int = 0) -> int:
    with (
        RunStore.open_or_create(machine.copy.folder, plan, machine.notices.append) as store,
        store.responses(plan.jobs[job].id) as log,
    ):
        return len(log)


def test_a_finished_run_in_a_store_is_file_for_file_the_local_one(machine, objects, make_plan, answer, finish):
    here, plan = machine("here"), make_plan()
    for job in (0, 1):
        answer(here, plan, range(5), job)
        here.pusher.push()
        answer(here, plan, range(5, 9), job)
        here.pusher.push()
        finish(here, plan, job)
        here.pusher.push()
    assert stored(objects) == files(here.copy.folder)
    assert len(stored(objects)) == 9
    there = machine("there")
    assert files(there.copy.folder) == files(here.copy.folder)
    assert there.notices == []


def test_another_machine_goes_on_with_the_answers_that_were_sent(machine, objects, make_plan, answer, finish):
    here, plan = machine("here"), make_plan()
    answer(here, plan, range(4))
    here.pusher.push()
    answer(here, plan, range(4, 7))
    here.pusher.push()
    assert sum("/responses/" in name for name in objects.list()) == 2
    answer(here, plan, range(7, 9))  # never sent: the machine dies
    there = machine("there")
    assert num_logged(there, plan) == 7
    answer(there, plan, range(7, 12))
    finish(there, plan)
    there.pusher.push()
    assert not any("/responses/" in name for name in objects.list())
    back = machine("here")  # the first machine again, with what it had and never sent
    assert num_logged(back, plan) == 12
    with RunStore.open(back.copy.folder) as store:
        assert store.result(plan.jobs[0].id) is not None


def test_of_two_machines_that_both_had_answers_none_is_lost(machine, make_plan, answer):
    here, plan = machine("here"), make_plan()
    answer(here, plan, range(4))
    here.pusher.push()
    answer(here, plan, range(10, 15))  # not sent
    there = machine("there")
    answer(there, plan, range(4, 8))
    there.pusher.push()
    back = machine("here")
    assert num_logged(back, plan) == 13
    back.pusher.push()
    assert num_logged(machine("third"), plan) == 13


def test_a_torn_segment_costs_its_torn_line_and_the_log_is_put_whole(machine, objects, make_plan, answer):
    here, plan = machine("here"), make_plan()
    answer(here, plan, range(3))
    here.pusher.push()
    answer(here, plan, range(3, 6))
    here.pusher.push()
    first = min(name for name in objects.list() if "/responses/" in name)
    objects.put(first, (objects.get(first) or b"")[:-20])
    there = machine("there")
    assert num_logged(there, plan) == 5
    answer(there, plan, range(6))
    there.pusher.push()
    assert not any("/responses/" in name for name in objects.list())
    assert num_logged(machine("third"), plan) == 6


def test_a_log_that_was_put_right_here_is_put_whole_there(machine, objects, make_plan, answer):
    here, plan = machine("here"), make_plan()
    answer(here, plan, range(6))
    here.pusher.push()
    log = here.copy.path(f"jobs/{plan.jobs[0].id}/responses.jsonl")
    log.write_bytes(log.read_bytes().replace(b"/2/0", b"/2/1", 1))  # a byte flips on this disk
    answer(here, plan, range(6, 8))
    here.pusher.push()
    assert num_logged(machine("there"), plan) == 7  # all but the damaged one, which is asked again


def test_a_segment_of_another_writer_is_found_and_not_written_over(machine, objects, make_plan, answer):
    here, plan = machine("here"), make_plan()
    answer(here, plan, range(2))
    folder = f"jobs/{plan.jobs[0].id}"
    num_bytes = here.copy.path(f"{folder}/responses.jsonl").stat().st_size
    name = f"{folder}/responses/{0:012d}-{num_bytes:012d}.jsonl"
    objects.put(name, b"theirs\n")
    with pytest.raises(StoreError, match="another process writes this run"):
        here.pusher.push()
    assert objects.get(name) == b"theirs\n"


def test_what_stood_here_and_differs_is_kept_aside_and_told(machine, objects, make_plan, answer, finish):
    here, plan = machine("here"), make_plan()
    answer(here, plan, range(2))
    finish(here, plan)
    here.pusher.push()
    name = f"jobs/{plan.jobs[0].id}/result.json"
    here.copy.path(name).write_bytes(b"something else")
    back = machine("here")
    assert back.copy.path(name).read_bytes() == objects.get(name)
    assert any("is not what this machine had" in text for text in back.notices)
    assert [path.read_bytes() for path in (back.copy.root / "aside").iterdir()] == [b"something else"]


def test_a_damaged_object_is_set_aside_scored_again_and_put_again(machine, objects, make_plan, answer, finish):
    here, plan = machine("here"), make_plan()
    answer(here, plan, range(2))
    finish(here, plan)
    here.pusher.push()
    name = f"jobs/{plan.jobs[0].id}/result.json"
    good = objects.get(name) or b""
    objects.put(name, good[:-30])
    there = machine("there")
    finish(there, plan)  # opening the run sets the damaged result aside
    there.pusher.push()
    assert objects.get(name) == good
    assert objects.get(name.replace(".json", ".bad.json")) == good[:-30]


def test_names_from_outside_lead_nowhere(machine, objects, tmp_path):
    here = machine("here")
    hostile = ["../run.json", "jobs/../../x/result.json", "jobs/0123456789ab/../../../evil", "/etc/x", "jobs/a/b", "x"]
    pull(objects, here.copy, {name: Stored(num_bytes=1, version="1") for name in hostile}, here.notices.append)
    assert {path.name for path in here.copy.root.rglob("*")} == {"run", "known.json"}
    assert not (tmp_path / "evil").exists()


def test_a_store_that_fails_in_the_middle_loses_nothing(machine, objects, make_plan, answer, finish, monkeypatch):
    here, plan = machine("here"), make_plan()
    answer(here, plan, range(4))
    finish(here, plan)
    upload, num = Objects.upload, 0

    def failing(self: Objects, name: str, path: Path) -> Stored:
        nonlocal num
        num += 1
        if num % 2:
            raise RemoteError("no network")
        return upload(self, name, path)

    monkeypatch.setattr(Objects, "upload", failing)
    for _ in range(20):
        try:
            here.pusher.push()
        except RemoteError:
            there = machine("there")
            done = there.copy.path(f"jobs/{plan.jobs[0].id}/result.json").is_file()
            assert not done or RunStore.open(there.copy.folder).is_through() is False  # whole, or not there
        else:
            break
    monkeypatch.undo()
    assert stored(objects).keys() == files(here.copy.folder).keys()


def test_what_is_known_of_a_store_is_a_help_and_no_truth(machine, make_plan, answer, finish):
    here, plan = machine("here"), make_plan()
    answer(here, plan, range(4))
    finish(here, plan)
    here.pusher.push()
    before = files(here.copy.folder)
    (here.copy.root / "known.json").write_bytes(b"nonsense")
    back = machine("here")
    assert files(back.copy.folder) == before
    assert back.notices == []
    assert isinstance(back.copy, WorkingCopy)
