"""What a target is: a function that reads a kind of file, and files to begin with. Knows none by name.

A target takes the file's bytes. It may raise FtEvalError, with one line; anything else that it raises is a fault, and
so is a file that it leaves outside its own folder.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ft_eval.errors import FtEvalError
from tests.fuzz.mutate import Mutator

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One kind of file."""

    name: str
    read: Callable[[bytes], object]
    """Raises FtEvalError, or nothing."""
    seeds: Callable[[], list[bytes]]
    mutate: Mutator | None = None
    """Changes such a file so that it keeps its form; None where there is no form to keep."""


class Escaped(AssertionError):  # noqa: N818 - a fault, not an error of the caller's
    """Something was written outside the target's folder."""


def run(target: Target, data: bytes) -> bool:
    """Give a target some bytes.

    Returns:
        Whether they were taken; False where they were refused with one line.
    """
    before = _names(folder().parent)
    try:
        target.read(data)
        said = ""
    except FtEvalError as error:
        said = str(error)
    assert len(said) < 20_000, "an error that nobody can read"
    if _names(folder().parent) != before:
        raise Escaped(f"{target.name} wrote outside its folder")
    return not said


@cache
def folder() -> Path:
    """The folder that targets may write in, in memory where there is such a place."""
    root = Path(tempfile.mkdtemp(prefix="ft-eval-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None))
    (root / "own").mkdir()
    return root / "own"


def _names(path: Path) -> list[str]:
    return os.listdir(path)  # noqa: PTH208 - fast


def put(name: str, data: bytes) -> Path:
    path = folder() / name
    path.write_bytes(data)
    return path


@contextmanager
def cleaned() -> Iterator[None]:
    """Take the targets' folder away at the end."""
    try:
        yield
    finally:
        if folder.cache_info().currsize:
            shutil.rmtree(folder().parent, ignore_errors=True)
            folder.cache_clear()
