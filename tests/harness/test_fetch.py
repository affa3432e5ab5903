"""A mirror is made of checked files at pinned commits, goes on where it was stopped, and is what `--data-dir` reads."""

import errno
import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ft_eval.errors import DataError, UsageError
from ft_eval.harness import fetch_files
from ft_eval.harness.fetch import FetchOptions, _held, fetch
from ft_eval.harness.fetch_hub import Hub
from ft_eval.harness.manifest import Manifest, read_manifest, verify_mirror
from ft_eval.harness.mirror import DataSource, redirected_datasets
from tests.harness.test_fetch_hub import COMMIT, OLDER, StandIn, go_online, running

GSM8K_CARD = b"""---
license: [mit, cc-by-4.0]
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: main/test-*
- config_name: socratic
  data_files:
  - split: test
    path: socratic/test-*
---
# GSM8K
"""
MAIN = ("main/test-00000-of-00001.parquet", "main/train-00000-of-00001.parquet")


def parquet(*rows: str) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"question": list(rows), "answer": [f"#### {len(row)}" for row in rows]}), file)
    return file.getvalue()


@contextmanager
def gsm8k_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A running hub with GSM8K's layout and hardly a row."""
    from huggingface_hub import close_session

    go_online(monkeypatch)
    stand_in = StandIn()
    stand_in.repositories["openai/gsm8k"] = {
        ".gitattributes": b"*.parquet lfs\n",
        "LICENSE": b"MIT\n",
        "README.md": GSM8K_CARD,
        MAIN[0]: parquet("one", "two"),
        MAIN[1]: parquet("a", "b", "c"),
        "socratic/test-00000-of-00001.parquet": parquet("why"),
        "old.py": b"raise SystemExit\n",
    }
    with running(stand_in):
        yield stand_in
    close_session()


@pytest.fixture
def hub(monkeypatch):
    with gsm8k_hub(monkeypatch) as stand_in:
        yield stand_in


@pytest.fixture
def mirror(tmp_path) -> Path:
    return tmp_path / "mirror"


def run(hub: StandIn, mirror: Path, tasks: str = "ft_gsm8k", **revisions: str):
    names = {name.replace("__", "/"): revision for name, revision in revisions.items()}
    return fetch(FetchOptions(tasks=tuple(tasks.split(",")), folder=mirror, revisions=names), Hub(hub.address))


def recorded(mirror: Path) -> Manifest:
    manifest = read_manifest(mirror)
    assert manifest is not None
    return manifest


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_the_files_of_the_config_the_card_and_the_licence_are_fetched_and_no_other(hub, mirror):
    run(hub, mirror)
    assert files(mirror) == ["manifest.json", *(f"openai/gsm8k/{name}" for name in ("LICENSE", "README.md", *MAIN))]


def test_the_manifest_says_what_there_is(hub, mirror):
    run(hub, mirror)
    (found,) = recorded(mirror).repositories
    assert (found.id, found.revision, found.source, found.licence) == (
        "openai/gsm8k",
        COMMIT,
        hub.address,
        "mit, cc-by-4.0",
    )
    assert (found.configs, found.rows) == (("main",), {"main": {"train": 3, "test": 2}})
    for file in found.files:
        data = hub.repositories["openai/gsm8k"][file.path]
        assert (file.num_bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert {file.path: file.num_rows for file in found.files}[MAIN[1]] == 3
    assert not verify_mirror(mirror)


def test_data_dir_reads_it_and_knows_its_revision(hub, mirror):
    import datasets

    run(hub, mirror)
    source = DataSource(data_dir=mirror, offline=True)
    source.check(["openai/gsm8k"])
    with redirected_datasets(source):
        assert datasets.load_dataset("openai/gsm8k", "main")["test"]["question"] == ["one", "two"]
    assert source.revision("openai/gsm8k") == COMMIT
    assert source.revision("org/absent") == ""


def test_what_is_complete_is_not_fetched_again(hub, mirror):
    first = run(hub, mirror).repositories[0]
    assert (first.num_fetched, first.num_kept) == (4, 0)
    hub.downloads()
    stamp = (mirror / "manifest.json").stat().st_mtime_ns
    again = run(hub, mirror).repositories[0]
    assert (again.num_fetched, again.num_kept, again.repository) == (0, 4, first.repository)
    assert hub.downloads() == []
    assert (mirror / "manifest.json").stat().st_mtime_ns == stamp


def test_it_goes_on_where_it_was_stopped(hub, mirror):
    hub.break_after, hub.break_once = {MAIN[1]: 20}, False
    with pytest.raises(DataError, match=r"main/train.*can't be reached|main/train.*incomplete"):
        run(hub, mirror)
    assert files(mirror) == [f"openai/gsm8k/{name}" for name in ("LICENSE", "README.md", MAIN[0])]
    hub.break_after = {}
    hub.downloads()
    run(hub, mirror)
    assert hub.downloads() == [Path(MAIN[1]).name]
    assert not verify_mirror(mirror)


def test_what_a_killed_fetch_left_is_cleared_away(hub, mirror):
    """A process that is killed leaves its temporary file."""
    left = fetch_files.partial_path(mirror / "openai" / "gsm8k" / MAIN[0])
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    run(hub, mirror)
    assert not verify_mirror(mirror)


def test_a_mirror_stays_at_its_commit_when_the_hub_moves_on(hub, mirror):
    run(hub, mirror)
    newer = "d" * 40
    hub.revisions.update({"main": newer, newer: newer})
    assert run(hub, mirror).repositories[0].repository.revision == COMMIT
    with pytest.raises(DataError, match=rf"has openai/gsm8k at {COMMIT}, and {newer} was asked for.*another folder"):
        run(hub, mirror, openai__gsm8k="main")


def test_a_revision_can_be_chosen(hub, mirror):
    assert run(hub, mirror, openai__gsm8k=OLDER).repositories[0].repository.revision == OLDER
    assert any(f"/resolve/{OLDER}/" in path for path in hub.log)


def test_a_revision_of_what_no_task_reads_is_refused(hub, mirror):
    with pytest.raises(UsageError, match=r"org/other: no task here reads it; they read openai/gsm8k"):
        run(hub, mirror, org__other="main")
    assert hub.log == []


@pytest.mark.parametrize("name", [MAIN[0], "README.md"])
def test_a_wrong_digest_is_an_error_with_file_and_digests(hub, mirror, name):
    """A large file has a sha256, a small one git's; nothing is left of what was sent."""
    data = hub.repositories["openai/gsm8k"][name]
    hub.sent[name] = sent = b"x" * len(data)
    with pytest.raises(DataError, match=r"was not put in place") as raised:
        run(hub, mirror)
    blob = (hashlib.sha1(b"blob %d\0" % len(one) + one, usedforsecurity=False).hexdigest() for one in (sent, data))
    whole = (hashlib.sha256(one).hexdigest() for one in (sent, data))
    got, expected = blob if name == "README.md" else whole
    assert name in str(raised.value)
    assert f"is {got}, expected {expected}" in str(raised.value)
    assert not [path for path in files(mirror) if path.endswith((name, ".part"))]


@pytest.mark.parametrize("name", [MAIN[0], "README.md"])
def test_more_bytes_than_announced_are_not_written(hub, mirror, name):
    hub.sent[name] = hub.repositories["openai/gsm8k"][name] + b"more"
    with pytest.raises(DataError, match="larger than its"):
        run(hub, mirror)
    assert not [path for path in files(mirror) if path.endswith((name, ".part"))]


def test_a_listing_with_a_path_that_leads_out_fetches_nothing(hub, mirror):
    hub.listed = {"LICENSE": "../../../LICENSE"}
    with pytest.raises(DataError, match="can't be used"):
        run(hub, mirror)
    assert files(mirror) == []


@pytest.mark.parametrize("link", ["openai", "openai/gsm8k", "openai/gsm8k/main", "openai/gsm8k/README.md"])
def test_a_link_that_leads_out_is_not_followed(hub, mirror, tmp_path, link):
    outside = tmp_path / "outside"
    outside.mkdir()
    (mirror / link).parent.mkdir(parents=True)
    (mirror / link).symlink_to(outside)
    with pytest.raises(DataError, match=r"leads out of .* through a symbolic link"):
        run(hub, mirror)
    assert files(outside) == []


def test_a_file_that_no_fetch_put_there_is_not_overwritten(hub, mirror):
    own = mirror / "openai" / "gsm8k" / "README.md"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(DataError, match=r"README.md is there and is not what openai/gsm8k has.*move it away"):
        run(hub, mirror)
    assert own.read_text() == "mine"


def test_a_file_that_has_gone_bad_is_fetched_again(hub, mirror):
    run(hub, mirror)
    (mirror / "openai" / "gsm8k" / MAIN[0]).write_bytes(b"rot")
    hub.downloads()
    assert run(hub, mirror).repositories[0].num_fetched == 1
    assert hub.downloads() == [Path(MAIN[0]).name]
    assert not verify_mirror(mirror)


def test_a_full_disk_is_one_clear_line_and_leaves_no_part(hub, mirror, monkeypatch):
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            DataError, match=r"README.md: can't write: No space left.*bytes are free.*make room"
        ) as raised:
            run(hub, mirror)
    assert "\n" not in str(raised.value)
    assert files(mirror) == []


def test_what_can_not_fit_is_not_begun(hub, mirror, monkeypatch):
    usage = shutil.disk_usage(mirror.parent)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"\d+ bytes are to be fetched, and 100 are free"):
        run(hub, mirror)
    assert hub.downloads() == ["README.md"]


def test_two_fetches_do_not_write_one_mirror_at_once(hub, mirror):
    with _held(mirror), pytest.raises(DataError, match="another fetch is writing to it"):
        run(hub, mirror)
