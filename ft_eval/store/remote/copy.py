"""The working copy of a run that lives in a store: its folder here, and what of it is known to be in the store.

    ROOT/run/         the run, as any local one
    ROOT/known.json   per file, the store's version of it that this copy has; per log, how much of it the store has
    ROOT/aside/       what stood here and was not what the store has
    ROOT/copy.lock    who is at the copy now

What is known is a help and no truth: without it everything is compared again. Knows no store.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from ft_eval.errors import StoreError
from ft_eval.store.files import make_folder, one_clear_line
from ft_eval.store.whole import read_whole, write_whole

BASE_NAME = "responses.jsonl"
FINISHED = ("samples.jsonl", "cost.json", "result.json")
"""A finished job's files, in the order in which they are put: the result is the mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A file that is the same here and in the store."""

    version: str
    num_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownFile:
    """The content of `known.json`."""

    files: Mapping[str, Known]


class WorkingCopy:
    """A run's files on this machine, by the names that they have in the store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "run"
        make_folder(self.folder)
        self._known: dict[str, Known] = {}
        with suppress(StoreError):
            self._known = dict(read_whole(root / "known.json", _KnownFile).files)
        self.log_ends: dict[str, int | None] = {}
        """Per job, how many bytes of its log the store has; None where what it has must be put anew."""
        self.segments: dict[str, list[str]] = {}
        """Per job, the segments that the store has."""

    def path(self, name: str) -> Path:
        """Where a file lies here."""
        return self.folder / name

    def is_same(self, name: str, version: str | None = None) -> bool:
        """Whether a file is known to be the store's, as it lies here; `version` is the store's as it is now."""
        known = self._known.get(name)
        if known is None or version not in {None, known.version}:
            return False
        with suppress(OSError):
            found = self.path(name).stat()
            return (found.st_size, found.st_mtime_ns) == (known.num_bytes, known.mtime_ns)
        return False

    def stamp(self, name: str) -> Known:
        """A file as it is now, of no version yet: taken before it is sent, since it may grow meanwhile."""
        with one_clear_line(self.path(name), "read"):
            found = self.path(name).stat()
        return Known(version="", num_bytes=found.st_size, mtime_ns=found.st_mtime_ns)

    def note(self, name: str, version: str, stamp: Known | None = None) -> None:
        """From now on a file, as it was when it was stamped, is known to be the store's."""
        self._known[name] = replace(stamp or self.stamp(name), version=version)

    def keep_aside(self, name: str) -> Path:
        """Move a file out of the run; where it is now."""
        folder = self.root / "aside"
        make_folder(folder)
        flat = name.replace("/", "-")
        target = next(path for number in count() if not (path := folder / f"{number}-{flat}").exists())
        with one_clear_line(self.path(name), "set it aside"):
            self.path(name).replace(target)
        return target

    def save(self) -> None:
        """Keep what is known for the next process."""
        write_whole(self.root / "known.json", _KnownFile(files=self._known))
