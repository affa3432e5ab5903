"""Lines of a JSON-lines file that may be gzipped, whatever its name says. Knows nothing of what stands in them."""

import gzip
import io
import json
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from ft_eval.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"
MAX_BYTES = 2**30
"""Of a file, unpacked. The released files have 5 MB; 200 samples of each of 164 problems some 100."""


def read_lines(path: Path, remedy: str) -> list[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1.

    Args:
        path: the file.
        remedy: what to do when it can't be read, for the error's end.

    Raises:
        DataError: no such file, a broken archive, more than `MAX_BYTES`, or no UTF-8.
    """
    return lines_of(read_content(path, remedy), path, remedy)


def read_content(path: Path, remedy: str) -> bytes:
    """The bytes of a file, or of a pipe, unpacked. It is opened once. Raises DataError as `read_lines`."""
    try:
        return _read(path)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} can't be read ({error}); {remedy}") from error


def lines_of(content: bytes, path: Path, remedy: str) -> list[tuple[int, str]]:
    """The lines of what was read there. Raises DataError for what is no UTF-8, with the first such line."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{number} can't be read ({error}); {remedy}") from error
    return [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def parse_line(line: str) -> object:
    """The JSON of one line.

    Raises:
        ValueError: it is none, is nested too deep, has a key twice, or a number of thousands of digits.
    """
    try:
        return json.loads(line, object_pairs_hook=_no_key_twice)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)[:80]!r} stands there twice")
    return found


def _read(path: Path) -> bytes:
    """The bytes, unpacked, of which never more than the bound are in memory."""
    with path.open("rb") as file:
        first = file.read(len(_GZIP_MAGIC))
        is_packed = first == _GZIP_MAGIC
        whole = io.BufferedReader(_Behind(first, file))
        with gzip.open(whole) if is_packed else whole as content:
            data = content.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(f"more than {MAX_BYTES} bytes{' unpacked' if is_packed else ''}")
    return data


class _Behind(io.RawIOBase):
    """A file whose first bytes were read already, as if they had not been: a pipe can't be read twice."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first, self._rest = first, rest

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The first bytes, then the others."""
        part = self._first or self._rest.read(len(buffer))
        taken = part[: len(buffer)]
        self._first = part[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)
