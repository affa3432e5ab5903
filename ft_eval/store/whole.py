"""Records that are a file each, sealed by a checksum: read back as they were written, or known to be damaged.

Files of the first two formats bear no checksum; what is no record there counts as damaged too. Knows no record by name.
"""

import re
from pathlib import Path
from typing import TypeVar

from ft_eval.errors import StoreError
from ft_eval.store.codec import dump, load
from ft_eval.store.files import read_bounded, sync_folder, write_atomically
from ft_eval.store.seal import is_intact, seal, unseal

_UNSEALED = re.compile(rb'\{\s*"format_version"\s*:\s*[12]\s*,')
T = TypeVar("T")


class DamagedError(StoreError):
    """A file of a run is not what was written: cut short, changed, or lost. What it held can be computed again."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; run the same command again: what is damaged is set aside and computed anew")
        self.what = what
        """The file and what is wrong with it."""


def write_whole(path: Path, record: object) -> None:
    """Write a record's file, whole or not at all.

    Raises:
        StoreError: The disk is full or the folder can't be written.
    """
    write_atomically(path, [seal(dump(record, versioned=True))])


def read_whole(path: Path, cls: type[T]) -> T:
    """The record that `write_whole` wrote.

    Raises:
        DamagedError: The file is not what was written.
        StoreError: It can't be read, is of a later format, or far too large.
    """
    data = read_bounded(path)
    if is_intact(data):
        return _load(path, cls, unseal(data))
    if not _UNSEALED.match(data):
        raise DamagedError(f"{path}: its checksum is wrong: cut short, damaged or edited")
    try:
        return _load(path, cls, data)
    except StoreError as error:
        raise DamagedError(str(error)) from None


def set_aside(path: Path) -> Path:
    """Rename a damaged file, `result.json` to `result.bad.json`, so that nothing takes it for what it was."""
    bad = path.with_suffix(f".bad{path.suffix}")
    path.replace(bad)
    sync_folder(path.parent)
    return bad


def _load(path: Path, cls: type[T], text: bytes) -> T:
    try:
        return load(cls, text, versioned=True)
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from None
