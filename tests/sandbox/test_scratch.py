"""A scratch folder is emptied whatever a program left in it, and what it holds is counted, removed files too."""

import mmap
import os
from pathlib import Path

import pytest

from ft_eval.sandbox.box import held, scratch


def test_everything_goes_and_nothing_beyond(tmp_path: Path) -> None:
    folder, kept = tmp_path / "scratch", tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("stays")
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("x")
    (folder / "link").symlink_to(kept)
    (folder / "a" / "loop").symlink_to(folder)
    os.mkfifo(folder / "fifo")
    (folder / os.fsdecode(b"\xff\n")).write_text("x")
    (folder / "closed" / "inner").mkdir(parents=True)
    (folder / "closed" / "inner").chmod(0)
    (folder / "closed").chmod(0)
    scratch.empty(str(folder))
    assert list(folder.iterdir()) == []
    assert (kept / "file").read_text() == "stays"


def test_depth_does_not_matter(tmp_path: Path) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(1500):
            Path("deeper").mkdir()
            os.chdir("deeper")
    finally:
        os.chdir(before)
    assert scratch.is_over(str(tmp_path), 1500 * 4096 - 1)
    scratch.empty(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_bytes_and_entries_are_counted(tmp_path: Path) -> None:
    assert not scratch.is_over(str(tmp_path), 0)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(bytes(100_000))
    assert scratch.is_over(str(tmp_path), 100_000)
    assert not scratch.is_over(str(tmp_path), 200_000)
    for number in range(30):
        (tmp_path / str(number)).touch()
    assert scratch.is_over(str(tmp_path), 30 * 4096)


def test_a_folder_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    assert not scratch.is_over(str(tmp_path / "gone"), 0)


def test_a_disk_without_the_room_that_is_promised_is_an_error(tmp_path: Path) -> None:
    scratch.check_room(str(tmp_path), 4096)
    with pytest.raises(OSError, match="no room for"):
        scratch.check_room(str(tmp_path), 1 << 60)


def test_removed_files_that_are_mapped_are_counted(tmp_path: Path) -> None:
    mapped, file, own = [], tmp_path / "file", os.pidfd_open(os.getpid())
    for number in range(held.MAX_FILES + 1):
        assert not held.holds_too_many(own, str(tmp_path)), number
        file.write_bytes(bytes(4096))
        with file.open("r+b") as opened:
            mapped.append(mmap.mmap(opened.fileno(), 0))
            mapped.append(mmap.mmap(opened.fileno(), 0))  # the same file: it counts once
        file.unlink()
    assert held.holds_too_many(own, str(tmp_path))
    assert not held.holds_too_many(own, str(tmp_path / "elsewhere"))
    os.close(own)
