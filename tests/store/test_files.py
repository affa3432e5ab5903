"""A file is whole or absent, and what can't be read or written is said on one line."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ft_eval.errors import StoreError
from ft_eval.store.files import make_folder, read_bounded, read_lines, write_atomically


def test_a_file_is_read_up_to_its_bound_and_no_further(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert read_bounded(path, max_bytes=100) == b"x" * 100
    with pytest.raises(StoreError, match="100 bytes, and ft-eval writes 99 at most"):
        read_bounded(path, max_bytes=99)


def test_what_is_no_regular_file_is_not_read(tmp_path):
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(StoreError, match="not a regular file"):
            read_bounded(path)


def test_only_a_newline_ends_a_line(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"a\rb\x0c\xe2\x80\xa8c\nd")
    assert list(read_lines(path)) == [b"a\rb\x0c\xe2\x80\xa8c\n", b"d"]


def test_a_line_may_be_as_long_as_its_bound(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"1234\n12345\n")
    assert list(read_lines(path, max_bytes=6)) == [b"1234\n", b"12345\n"]
    with pytest.raises(StoreError, match="file:2: a line of over 5 bytes"):
        list(read_lines(path, max_bytes=5))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, [b"one\n"])

    def chunks() -> Iterator[bytes]:
        yield b"two\n"
        assert path.read_bytes() == b"one\n"
        yield b"three\n"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, chunks())
    assert path.read_bytes() == b"one\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    write_atomically(path, [b"two\n", b"three\n"])
    assert path.read_bytes() == b"two\nthree\n"


def test_a_file_that_stands_in_the_way_of_a_folder_is_one_clear_line(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "b"):
        with pytest.raises(StoreError, match="a file stands where a folder is needed"):
            make_folder(path)
    with pytest.raises(StoreError, match="can't write: Not a directory"):
        write_atomically(tmp_path / "file" / "b", [b"x"])


def test_a_pipe_is_never_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "report.html")
    with pytest.raises(StoreError, match="is there and is no file"):
        write_atomically(tmp_path / "report.html", [b"new"])
    assert [path.is_fifo() for path in tmp_path.iterdir()] == [True]
