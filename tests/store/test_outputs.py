"""What a user names for an outcome is written where it leads, and nothing else is lost; tried before any work."""

import errno
import os
import threading
from pathlib import Path

import pytest

from ft_eval.errors import NoRoomError, UsageError
from ft_eval.store.outputs import is_stdout, try_output, write_output

CONTENT = b"the outcome\n" * 10_000


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "old").write_text("an old outcome")
    return tmp_path


def put(path: Path) -> None:
    try_output("--json", path)
    write_output("--json", path, CONTENT)


def test_a_new_and_an_old_file_are_written_and_nothing_is_left_beside_them(folder):
    put(folder / "new")
    put(folder / "old")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"new": CONTENT, "old": CONTENT}


@pytest.mark.parametrize("target", ["old", "absent"])
def test_through_a_link_its_target_is_written_and_the_link_stays(folder, target):
    (folder / "second").symlink_to(folder / target)
    (folder / "link").symlink_to("second")
    put(folder / "link")
    assert (folder / "link").is_symlink()
    assert (folder / target).read_bytes() == CONTENT
    assert sorted(path.name for path in folder.iterdir()) == sorted({"old", target, "second", "link"})


def test_a_pipe_is_written_to_and_stays_one(folder):
    os.mkfifo(folder / "pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((folder / "pipe").read_bytes()))
    reader.start()
    put(folder / "pipe")
    reader.join(10)
    assert found == [CONTENT]
    assert (folder / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_a_descriptor_is_written_to_where_it_stands(folder, name):
    with (folder / "old").open("ab") as file:
        (folder / "link").symlink_to(f"/dev/fd/{file.fileno()}")
        put(folder / name.format(file.fileno()))  # an absolute name stands for itself
    assert (folder / "old").read_bytes() == b"an old outcome" + CONTENT
    assert (folder / "link").is_symlink()


def test_stdout_is_known_by_any_of_its_names(folder):
    (folder / "link").symlink_to("/dev/stdout")
    assert [is_stdout(Path(name)) for name in ("/dev/stdout", "/dev/fd/1", folder / "link")] == [True] * 3
    assert [is_stdout(Path(name)) for name in ("/dev/stderr", "/dev/null", folder / "old")] == [False] * 3


@pytest.mark.parametrize("how", ["itself", "symbolic", "hard"])
def test_an_input_is_refused_by_whatever_name(folder, how):
    named = folder / "old" if how == "itself" else folder / "other"
    if how == "symbolic":
        named.symlink_to("old")
    if how == "hard":
        named.hardlink_to(folder / "old")
    with pytest.raises(UsageError, match="that is an input; name another file"):
        try_output("--json", named, [None, folder / "gone", folder / "old"])


def test_what_can_not_be_written_is_found_out_by_trying(folder, monkeypatch):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    (folder / "circle").symlink_to("circle")
    for named in (folder, folder / "gone" / "out", folder / "circle"):
        with pytest.raises(UsageError):
            try_output("--json", named)
    (folder / "circle").unlink()

    def refuse(*_args: object, **_named: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(UsageError, match=r"--json .*old can't be written \(Permission denied\); name another file"):
        try_output("--json", folder / "old")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_no_room_is_its_own_error_and_the_old_file_stays(folder, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoRoomError, match="make room") as caught:
        put(folder / "old")
    assert caught.value.exit_code == 4
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"old": "an old outcome"}


def test_a_pipe_that_nobody_reads_is_a_broken_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb"), pytest.raises(BrokenPipeError):
        put(Path(f"/dev/fd/{writer}"))
