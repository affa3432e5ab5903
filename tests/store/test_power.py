"""What a power cut leaves: of files what was synced, of folders the names that were synced. A run opens from it.

The disk is modelled at its worst: nothing survives that was not synced, in the order in which it was.
"""

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ft_eval.errors import NoRoomError
from ft_eval.store import RunStore, response_log


class Disk:
    """A folder's files as a power cut would leave them now."""

    def __init__(self, root: Path) -> None:
        self._root = root.stat().st_ino
        self._files: dict[int, bytes] = {}
        self._folders: dict[int, dict[str, tuple[int, bool]]] = {}
        self.num_syncs = 0

    def synced(self, fd: int) -> None:
        self.num_syncs += 1
        about, path = os.fstat(fd), Path(f"/proc/self/fd/{fd}")
        if stat.S_ISDIR(about.st_mode):
            entries = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(path.resolve())}
            self._folders[about.st_ino] = {n: (s.st_ino, stat.S_ISDIR(s.st_mode)) for n, s in entries.items()}
        else:
            self._files[about.st_ino] = path.read_bytes()

    def leave(self, folder: Path, inode: int | None = None) -> Path:
        """Write down what is left."""
        folder.mkdir()
        for name, (entry, is_folder) in self._folders.get(inode or self._root, {}).items():
            if is_folder:
                self.leave(folder / name, entry)
            else:
                (folder / name).write_bytes(self._files.get(entry, b""))
        return folder


@pytest.fixture
def disk(tmp_path, monkeypatch) -> Disk:
    disk = Disk(tmp_path)
    fsync = os.fsync

    def sync(fd: int) -> None:
        fsync(fd)
        disk.synced(fd)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(response_log, "_sync_data", sync)
    return disk


@dataclass(frozen=True)
class Evaluation:
    """A plan, and what its jobs come to."""

    plan: Any
    answer: Callable[[int], Any]
    sample: Callable[[str, int], Any]
    result: Callable[[str], Any]


@pytest.fixture
def work(make_plan, make_answer, make_sample, make_result) -> Evaluation:
    return Evaluation(plan=make_plan(), answer=make_answer, sample=make_sample, result=make_result)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are told by /proc")
def test_a_power_cut_after_any_sync_leaves_a_run_that_goes_on_with_all_it_was_told_is_there(
    disk, tmp_path_factory, tmp_path, work, monkeypatch
):
    plan, cuts = work.plan, tmp_path_factory.mktemp("cuts")
    promised: list[tuple[int, int]] = []
    """After each sync: jobs that were finished, and answers that were flushed, by then."""
    num_done, num_flushed = 0, 0
    synced = disk.synced

    def cut(fd: int) -> None:
        synced(fd)
        promised.append((num_done, num_flushed))
        disk.leave(cuts / str(len(promised)))

    monkeypatch.setattr(disk, "synced", cut)
    with RunStore.open_or_create(tmp_path / "run", plan) as store:
        for job in plan.jobs:
            num_flushed = 0
            with store.responses(job.id) as log:
                for number in range(200):
                    log.append(work.answer(number))
                    num_flushed = len(log) if log._num_unsynced == 0 else num_flushed
                log.flush()
                num_flushed = len(log)
            store.finish(work.result(job.id), [work.sample(job.id, doc) for doc in range(3)])
            num_done, num_flushed = num_done + 1, 0
    cut_last = disk.leave(cuts / "last")
    monkeypatch.undo()
    assert len(promised) > 20
    for number, (jobs, answers) in enumerate(promised, start=1):
        hold(cuts / str(number) / "run", plan, jobs, answers)
    hold(cut_last / "run", plan, 2, 0)


def hold(folder: Path, plan: Any, num_done: int, num_answers: int) -> None:
    """The run that a cut left opens, and has what was promised; nothing of it is damaged."""
    notices: list[str] = []
    with RunStore.open_or_create(folder, plan, notices.append) as store:
        assert all(store.is_done(job.id) for job in plan.jobs[:num_done])
        if num_done < len(plan.jobs):
            with store.responses(plan.jobs[num_done].id) as log:
                assert len(log) >= num_answers
    assert notices == []


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@pytest.mark.parametrize("number", FULL)
@pytest.mark.parametrize("call", ["write", "fsync", "replace", "mkdir"])
def test_a_disk_or_quota_that_is_used_up_at_any_call_ends_in_one_line_and_the_run_goes_on(
    call, number, tmp_path, work, monkeypatch
):
    plan, allowed, real = work.plan, 0, getattr(os, call)

    def refuse(*arguments: Any, **named: Any) -> Any:
        nonlocal allowed
        if allowed:
            allowed -= 1
            return real(*arguments, **named)
        raise OSError(number, os.strerror(number), "a file")

    def evaluate() -> None:
        with RunStore.open_or_create(tmp_path / "run", plan) as store:
            for job in plan.jobs:
                if store.is_done(job.id):
                    continue
                with store.responses(job.id) as log:
                    for one in range(3):
                        log.append(work.answer(one))
                store.finish(work.result(job.id), [work.sample(job.id, 0)])

    num_refused = 0
    for first in range(40):
        allowed = first
        monkeypatch.setattr(os, call, refuse)
        monkeypatch.setattr(response_log, "_sync_data", os.fsync)
        try:
            evaluate()
        except NoRoomError as error:
            num_refused += 1
            assert "make room and run the same command again" in str(error)  # noqa: PT017 — only some rounds raise
        finally:
            monkeypatch.undo()
    assert num_refused
    evaluate()
    with RunStore.open(tmp_path / "run") as store:
        assert store.is_through()
