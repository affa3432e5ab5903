"""A mirror's file is read once, and again when it may be another one."""

import hashlib
import os
from pathlib import Path

import pytest

from ft_eval.harness import known_digests
from ft_eval.harness.fetch_files import file_facts
from ft_eval.store import remembered


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of files that were read; files count as at rest at once, and nothing is remembered in memory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remembered, "SETTLED_SECONDS", -1.0)
    found: list[str] = []

    def reading(path: Path, _stamp: tuple[int, ...]) -> str:
        found.append(path.name)
        return file_facts(path).sha256

    monkeypatch.setattr(known_digests, "_digest", reading)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name in ("a", "b"):
        (tmp_path / "data" / name).write_text(name)
    return tmp_path / "data"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_files_that_nobody_touched_are_read_once(folder, reads):
    expected = {"a": sha256("a"), "b": sha256("b")}
    assert known_digests.known_digests(folder, ["a", "b"]) == expected
    assert known_digests.known_digests(folder, ["a", "b"]) == expected
    assert reads == ["a", "b"]


def test_another_content_of_the_same_size_and_age_is_read(folder, reads):
    known_digests.known_digests(folder, ["a", "b"])
    before = (folder / "a").stat()
    (folder / "a").write_text("c")
    os.utime(folder / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known_digests.known_digests(folder, ["a", "b"]) == {"a": sha256("c"), "b": sha256("b")}
    assert reads == ["a", "b", "a"]


@pytest.mark.parametrize("kept", [[], {"a": 1}, {"a": [1]}, {"a": [[], 2]}])
def test_a_damaged_cache_is_as_good_as_none(folder, reads, kept):
    remembered.keep("digests", folder, kept)
    assert known_digests.known_digests(folder, ["a"]) == {"a": sha256("a")}
    assert reads == ["a"]
