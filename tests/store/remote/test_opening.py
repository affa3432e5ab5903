"""A run in a store has one writer, says so in one line, and is read without one."""

import os
import time
from dataclasses import replace
from typing import Any

import pytest

from ft_eval.errors import RemoteError, StoreError, UsageError
from ft_eval.store import RunStore
from ft_eval.store.owner import Owner
from ft_eval.store.remote import lease as lease_module
from ft_eval.store.remote.lease import LEASE_NAME, LostLeaseError, RemoteLease, living_owner
from ft_eval.store.remote.objects import Objects
from ft_eval.store.remote.opening import folder_to_read, kept_at
from ft_eval.store.remote.url import RunUrl, parse_place


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write(url: RunUrl, plan: Any) -> None:
    with kept_at(url, print) as kept, RunStore.open_or_create(kept.folder, plan):
        kept.watch()


def test_a_run_that_was_written_is_in_the_store_and_can_be_read_elsewhere(
    url, objects, make_plan, tmp_path, monkeypatch
):
    plan = make_plan()
    write(url, plan)
    assert list(objects.list()) == ["run.json"]  # the lease is gone
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert RunStore.open(folder_to_read(url)).plan.run_id == plan.run_id
    write(url, plan)


def test_a_second_writer_is_told_who_writes_here_and_on_another_machine(url, make_plan, tmp_path, monkeypatch):
    with kept_at(url, print) as kept, RunStore.open_or_create(kept.folder, make_plan()):
        with pytest.raises(StoreError, match=rf"memory://bucket/run is in use by process {os.getpid()}"):
            write(url, make_plan())
        assert folder_to_read(url) == kept.folder  # who reads here sees what is newest
        kept.watch()
        while "run.json" not in Objects(url).list():
            time.sleep(0.02)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
        with pytest.raises(StoreError, match=rf"in use by process {os.getpid()} .* delete run.lease there"):
            write(url, make_plan())
        assert (folder_to_read(url) / LEASE_NAME).read_bytes() == Objects(url).get(LEASE_NAME)


def test_a_lease_is_taken_over_from_who_is_gone_and_from_who_is_silent_for_long(url, objects, monkeypatch):
    gone = replace(Owner.this_process(), pid=2**22 + 1)
    objects.put(LEASE_NAME, gone.line())
    assert living_owner(objects) is None
    RemoteLease.acquire(objects).release()
    far = replace(Owner.this_process(), host="elsewhere")
    objects.put(LEASE_NAME, far.line())
    assert living_owner(objects) == far
    with pytest.raises(StoreError, match=r"in use by process .* on elsewhere"):
        RemoteLease.acquire(objects)
    monkeypatch.setattr(lease_module, "STALE_SECONDS", -1.0)
    assert RemoteLease.acquire(objects).owner.line() == objects.get(LEASE_NAME)


def test_a_writer_that_was_taken_over_stops_and_leaves_the_lease_alone(url, objects, make_plan, monkeypatch):
    monkeypatch.setattr(lease_module, "HEARTBEAT_SECONDS", 0.0)
    other = replace(Owner.this_process(), host="elsewhere").line()

    def write_on() -> None:
        with kept_at(url, print) as kept, RunStore.open_or_create(kept.folder, make_plan()):
            objects.put(LEASE_NAME, other)
            look = kept.watch()
            while True:
                look()
                time.sleep(0.02)

    with pytest.raises(LostLeaseError, match=r"was taken over by process .* on elsewhere"):
        write_on()
    assert objects.get(LEASE_NAME) == other
    assert "run.json" not in objects.list()


def test_a_store_without_conditional_writes_still_has_one_writer(url, objects, monkeypatch):
    waits: list[None] = []
    monkeypatch.setattr(Objects, "refuses_second_writes", lambda *_: False)
    other = replace(Owner.this_process(), host="elsewhere").line()

    def later() -> None:
        waits.append(None)
        objects.put(LEASE_NAME, other)  # who came second wrote over it

    monkeypatch.setattr(lease_module, "wait_for_others", later)
    with pytest.raises(StoreError, match=r"in use by process .* on elsewhere"):
        RemoteLease.acquire(objects)
    assert waits


def test_a_store_that_is_lost_costs_one_line_and_the_same_command_goes_on(url, objects, make_plan, monkeypatch):
    monkeypatch.setattr("ft_eval.store.remote.uploader._SECONDS_BETWEEN_PUSHES", 0.01)
    upload = Objects.upload

    def lost(self: Objects, name: str, path: Any) -> Any:
        raise RemoteError(
            f"{url}: can't write {name}: no network; nothing answered is lost: run the same command again"
        )

    monkeypatch.setattr(Objects, "upload", lost)
    with pytest.raises(RemoteError, match="nothing answered is lost") as raised:
        write(url, make_plan())
    assert raised.value.exit_code == 4
    assert (url.working_copy / "run" / "run.json").is_file()
    monkeypatch.setattr(Objects, "upload", upload)
    write(url, make_plan())
    assert "run.json" in objects.list()


def test_a_place_that_is_no_run_is_not_written_and_another_run_is_refused(url, objects, make_plan):
    objects.put("thesis.tex", b"mine")
    with pytest.raises(StoreError, match=r"is no run and not empty \(it holds 'thesis.tex'\)"):
        write(url, make_plan())
    assert list(objects.list()) == ["thesis.tex"]
    objects.delete(["thesis.tex"])
    write(url, make_plan())
    with pytest.raises(StoreError, match=r"memory://bucket/run belongs to another run: .*few-shot count 5 there"):
        write(url, make_plan(num_fewshot=4))
    with pytest.raises(StoreError, match="no run here"):
        folder_to_read(RunUrl(protocol="memory", path="bucket/none"))


@pytest.mark.parametrize(
    "text", ["s3://", "s3:///run", "s3://a/../b", "s3://a b/c", "s3://key:secret@bucket/run", "s3://a//b"]
)
def test_what_begins_as_an_address_and_is_none_is_refused(text):
    with pytest.raises(UsageError):
        parse_place(text)


def test_an_address_without_its_library_is_one_line(monkeypatch):
    import fsspec

    def absent(*arguments: Any, **options: Any) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", absent)
    with pytest.raises(UsageError, match=r"not installed; pip install 'ft-eval\[s3\]'"):
        Objects(RunUrl(protocol="s3", path="bucket/run"))
    monkeypatch.undo()
    with pytest.raises(UsageError, match="expected an address such as s3://bucket/run"):
        Objects(RunUrl(protocol="s4", path="bucket/run"))


@pytest.mark.parametrize(
    ("raised", "exit_code", "said"),
    [
        (PermissionError("Forbidden"), 2, "check the store's credentials"),
        (PermissionError("The provided token has expired."), 4, "run the same command again"),
        (FileNotFoundError("The specified bucket does not exist"), 2, "no such bucket"),
        (TimeoutError("read timed out\nsecond line"), 4, "run the same command again"),
        (ValueError("of a library's own"), 4, "run the same command again"),
    ],
)
def test_whatever_a_store_says_is_one_line_with_what_to_do(objects, monkeypatch, raised, exit_code, said):
    def fail(*arguments: Any, **options: Any) -> None:
        raise raised

    monkeypatch.setattr(objects._fs, "find", fail)
    with pytest.raises(StoreError, match=said) as found:
        objects.list()
    assert found.value.exit_code == exit_code
    assert "\n" not in str(found.value)
