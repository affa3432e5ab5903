"""A run has one writer, who is named; one who is gone is replaced, and never two at once, with locks or without."""

import errno
import fcntl
import multiprocessing
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ft_eval.errors import StoreError
from ft_eval.store import lease as lease_module
from ft_eval.store.lease import Lease, read_owner
from ft_eval.store.lock import RunLock, held_by
from ft_eval.store.owner import Owner, boot_id

GONE = 2**22 + 1
"""A process id above Linux's largest."""


@pytest.fixture
def no_locks(monkeypatch):
    """A file system without locks: flock answers as Lustre does where it is not switched on."""

    def refuse(_fd: int, _operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)


def elsewhere() -> Owner:
    return replace(Owner.this_process(), host="elsewhere", boot="b", pid=1)


def test_an_owner_comes_back_from_its_line():
    for owner in (Owner.this_process(), elsewhere(), replace(elsewhere(), boot="")):
        assert Owner.parse(owner.line()) == owner
    for content in (b"", b"process x on y", b"\xff" * 40, b"process 99999999999 on h since s\n"):
        assert Owner.parse(content) is None


def test_a_process_is_gone_when_it_ended_or_its_host_booted_since_and_not_when_that_cannot_be_known():
    here = Owner.this_process()
    assert not here.is_gone()
    assert replace(here, pid=GONE).is_gone()
    assert not replace(here, pid=1).is_gone()
    assert not replace(elsewhere(), pid=GONE).is_gone()
    if boot_id():
        assert replace(here, boot="another").is_gone()


def test_the_second_one_is_told_process_host_and_since_when(tmp_path):
    lock = RunLock.acquire(tmp_path / "run.lock")
    owner = held_by(tmp_path / "run.lock")
    assert owner is not None
    with pytest.raises(StoreError) as caught:
        RunLock.acquire(tmp_path / "run.lock")
    assert f"is in use by process {os.getpid()} on {owner.host} since {owner.since}; wait for" in str(caught.value)
    lock.release()
    assert held_by(tmp_path / "run.lock") is None
    RunLock.acquire(tmp_path / "run.lock").release()


def test_who_looks_who_holds_the_lock_keeps_no_writer_out(tmp_path):
    path = tmp_path / "run.lock"
    RunLock.acquire(path).release()
    looking = os.open(path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.1, lambda: os.close(looking)).start()
    RunLock.acquire(path).release()


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_lease_names_its_holder_and_keeps_the_second_one_out(tmp_path):
    lock = RunLock.acquire(tmp_path / "run.lock")
    assert held_by(tmp_path / "run.lock") == read_owner(tmp_path / "run.lease")
    with pytest.raises(StoreError, match=rf"in use by process {os.getpid()} on .* delete run\.lease there"):
        RunLock.acquire(tmp_path / "run.lock")
    lock.assert_held()
    lock.release()
    lock.release()
    assert not (tmp_path / "run.lease").exists()
    assert held_by(tmp_path / "run.lock") is None


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize("change", [{"pid": GONE}, {"boot": "another"}])
def test_the_lease_of_a_process_that_is_gone_is_taken_over_at_once(tmp_path, change):
    if "boot" in change and not boot_id():
        pytest.skip("this system has no boot id")
    (tmp_path / "run.lease").write_bytes(replace(Owner.this_process(), **change).line())
    lock = RunLock.acquire(tmp_path / "run.lock")
    lock.assert_held()
    lock.release()
    assert [path.name for path in tmp_path.iterdir()] == ["run.lock"]


@pytest.mark.parametrize("content", [elsewhere().line(), b"", b"\0" * 60])
def test_the_lease_of_another_host_is_taken_over_after_ten_minutes_of_silence_not_before(tmp_path, content):
    path = tmp_path / "run.lease"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="in use by"):
        Lease.acquire(path)
    assert path.read_bytes() == content
    silent = time.time() - lease_module.STALE_SECONDS - 5
    os.utime(path, (silent, silent))
    Lease.acquire(path).release()


def test_a_live_holder_is_heard(tmp_path, monkeypatch):
    monkeypatch.setattr(lease_module, "HEARTBEAT_SECONDS", 0.01)
    path = tmp_path / "run.lease"
    lease = Lease.acquire(path)
    os.utime(path, (0, 0))
    deadline = time.monotonic() + 30
    while path.stat().st_mtime == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert path.stat().st_mtime > 0
    lease.release()


def test_a_holder_that_slept_through_its_lease_finds_out_and_leaves_the_other_one_alone(tmp_path):
    path = tmp_path / "run.lease"
    lease = Lease.acquire(path)
    path.unlink()
    path.write_bytes(elsewhere().line())
    with pytest.raises(StoreError, match="was taken over by process 1 on elsewhere since"):
        lease.assert_held()
    lease.release()
    assert path.read_bytes() == elsewhere().line()


def _try(path: Path, barrier, results) -> None:
    barrier.wait()
    try:
        lease = Lease.acquire(path)
    except StoreError:
        results.put(0)
    else:
        results.put(1)
        time.sleep(1.0)
        lease.release()


def test_of_many_that_find_a_stale_lease_at_once_one_takes_it(tmp_path):
    context = multiprocessing.get_context("fork")
    for number in range(5):
        path = tmp_path / f"{number}.lease"
        path.write_bytes(replace(Owner.this_process(), pid=GONE).line())
        barrier, results = context.Barrier(4), context.Queue()
        tries = [context.Process(target=_try, args=(path, barrier, results)) for _ in range(4)]
        for process in tries:
            process.start()
        assert sum(results.get() for _ in tries) == 1
        for process in tries:
            process.join()
