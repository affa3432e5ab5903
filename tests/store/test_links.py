"""A run folder from a stranger may hold links and pipes: continuing or reading it touches no file but its own."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from ft_eval.errors import StoreError
from ft_eval.run.journal import RunLog
from ft_eval.store import RunStore
from ft_eval.store.status import LiveStatus, write_live

LINKS = (
    "run.json",
    "run.lock",
    ".run.json.tmp",
    "jobs",
    "jobs/{job}",
    "jobs/{job}/responses.jsonl",
    "jobs/{job}/responses.bad.jsonl",
    "jobs/{job}/.responses.jsonl.tmp",
    "jobs/{job}/samples.jsonl",
    "jobs/{job}/.samples.jsonl.tmp",
    "jobs/{job}/result.json",
    "jobs/{job}/.result.json.tmp",
    "jobs/{job}/cost.json",
    "jobs/{job}/.cost.json.tmp",
    "run.lease",
    "run.log",
    "status.json",
    ".status.json.tmp",
)


@pytest.fixture
def victims(tmp_path) -> Path:
    """Files of the user's, one of them a log that is worth mending and one no text at all."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "notes").write_text("years of work\n")
    (folder / "torn").write_text("a line that no checksum fits\nand no end")
    return folder


@pytest.fixture
def use(make_plan, make_answer, make_sample, make_result):
    """All that a run does to its folder, with a log that has to be put right on the way."""
    plan = make_plan()
    job = plan.jobs[0].id

    def go_on(path: Path) -> None:
        with RunStore.open_or_create(path, plan) as store:
            with store.responses(job) as responses:
                responses.append(make_answer(1))
            with (path / "jobs" / job / "responses.jsonl").open("ab") as file:
                file.write(b"torn")
            store.responses(job).close()
            if not store.is_done(job):
                store.finish(make_result(job), [make_sample(job, 0)])
            list(store.samples(job))
            log = RunLog(path)
            log.write("info", "begins")
            log.close()
            write_live(path, LiveStatus(owner=str(store.owner), updated_at="2026-01-01T00:00:00+00:00"))

    return go_on


@pytest.fixture
def run(tmp_path, make_plan) -> Path:
    RunStore.create(tmp_path / "run", make_plan()).close()
    return tmp_path / "run"


@pytest.fixture
def job(make_plan) -> str:
    return make_plan().jobs[0].id


@pytest.mark.parametrize("victim", ["notes", "torn", "absent"])
@pytest.mark.parametrize("name", LINKS)
def test_no_link_in_a_run_folder_is_written_through(run, job, use, victims, name, victim):
    link = run / name.format(job=job)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(victims / victim)
    before = {path.name: path.read_bytes() for path in victims.iterdir()}
    with suppress(StoreError):
        use(run)
    assert {path.name: path.read_bytes() for path in victims.iterdir()} == before


@pytest.mark.parametrize("name", ["jobs", "jobs/{job}"])
def test_no_folder_outside_is_written_to(run, job, use, victims, name):
    link = run / name.format(job=job)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(victims, target_is_directory=True)
    with pytest.raises(StoreError, match="is a symbolic link, which a run folder never holds"):
        use(run)
    assert sorted(path.name for path in victims.iterdir()) == ["notes", "torn"]


@pytest.mark.parametrize("name", ["run.json", "jobs/{job}/responses.jsonl", "jobs/{job}/samples.jsonl"])
def test_a_pipe_is_refused_and_not_waited_for(run, job, use, name):
    use(run)
    pipe = run / name.format(job=job)
    pipe.unlink()
    os.mkfifo(pipe)
    with pytest.raises(StoreError):
        use(run)
