"""A file that comes from outside: put in place whole and with the right digest, or not at all.

What writes the bytes is the caller's matter. A file is written under a temporary name beside its own, synced, checked,
renamed. Knows no hub and no dataset.
"""

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from ft_eval.errors import NO_ROOM, DataError
from ft_eval.store.files import sync_folder

MAX_FILE_BYTES = 64 * 2**30
"""What a file without a stated size may grow to."""

_CHUNK_BYTES = 2**20
_MAX_NAME_BYTES = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What a file on disk is."""

    num_bytes: int
    sha256: str
    git_sha1: str
    """Of git's blob: what a repository names a small file by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a file must be, as far as its source says. At least one digest is given."""

    num_bytes: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None

    def fault(self, facts: FileFacts) -> str:
        """What is wrong with a file, with both digests; an empty string when nothing is."""
        for kind, got, wanted in (
            ("sha256", facts.sha256, self.sha256),
            ("git blob sha1", facts.git_sha1, self.git_sha1),
        ):
            if wanted is not None and got != wanted:
                return f"its {kind} is {got}, expected {wanted}"
        if self.num_bytes is not None and facts.num_bytes != self.num_bytes:
            return f"it has {facts.num_bytes} bytes, expected {self.num_bytes}"
        return ""


def file_facts(path: Path) -> FileFacts:
    """Read a file once. Raises DataError when it can't be read."""
    with clear_disk_errors(path, "read"), path.open("rb") as file:
        num_bytes = os.fstat(file.fileno()).st_size
        sha256, blob = hashlib.sha256(), hashlib.sha1(f"blob {num_bytes}\0".encode(), usedforsecurity=False)
        while chunk := file.read(_CHUNK_BYTES):
            sha256.update(chunk)
            blob.update(chunk)
    return FileFacts(num_bytes=num_bytes, sha256=sha256.hexdigest(), git_sha1=blob.hexdigest())


def put_file(path: Path, write: Callable[[BinaryIO], None], expected: Expected) -> FileFacts:
    """Have a file written, check it, and put it in place of the one that may be there.

    Raises:
        DataError: the digest is wrong (file and digests are named), the disk is full or can't be written. Nothing is
            left under the temporary name, and nothing is changed under the file's own.
    """
    partial = partial_path(path)
    try:
        with clear_disk_errors(path, "write"):
            _make_folder(path.parent)
            partial.unlink(missing_ok=True)
            with _BoundedFile(partial, expected.num_bytes) as file:
                write(cast("BinaryIO", file))
                os.fsync(file.fileno())
            facts = _checked(partial, path, expected)
            partial.replace(path)
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    return facts


def partial_path(path: Path) -> Path:
    """The temporary name of a file: short, and with a dot first, so that `datasets` doesn't take it for data."""
    return path.with_name(f".{hashlib.sha256(path.name.encode()).hexdigest()[:16]}.part")


def inside(folder: Path, *parts: str) -> Path:
    """The path of these parts in a folder. Parts come from outside.

    Raises:
        DataError: it would leave the folder, by its own name or through a symbolic link that lies there.
    """
    root = folder.resolve()
    path = root.joinpath(*(safe_path(part) for part in parts))
    if path.is_symlink() or not path.resolve().is_relative_to(root):
        raise DataError(
            f"{path} leads out of {root} through a symbolic link; remove the link, or choose another folder"
        )
    return path


def safe_path(text: str) -> str:
    """A relative path from outside, as it is.

    Raises:
        DataError: it is absolute, has a `..`, or can't be a file's name here.
    """
    parts = text.split("/") if isinstance(text, str) else [""]
    fine = all(
        part not in {"", ".", ".."} and part.isprintable() and "\\" not in part and _num_bytes(part) <= _MAX_NAME_BYTES
        for part in parts
    )
    if not fine or PurePosixPath(text).is_absolute():
        raise DataError(f"the path {text!r:.200} can't be used: expected names joined by /, without `..`")
    return text


def check_room(folder: Path, num_bytes: int) -> None:
    """See that a download fits. Raises DataError when it does not."""
    free = _free_bytes(folder)
    if num_bytes > free:
        raise DataError(f"{folder}: {num_bytes} bytes are to be fetched, and {free} are free there; make room first")


@contextmanager
def clear_disk_errors(path: Path, action: str) -> Iterator[None]:
    """One clear line in place of an OSError. Raises DataError."""
    try:
        yield
    except OSError as error:
        advice = ""
        if error.errno in NO_ROOM:
            advice = (
                f" ({_free_bytes(path.parent)} bytes are free there); what is complete stays: make room and run the"
                " same command again"
            )
        raise DataError(f"{path}: can't {action}: {error.strerror or error}{advice}") from error


def _checked(partial: Path, path: Path, expected: Expected) -> FileFacts:
    facts = file_facts(partial)
    if fault := expected.fault(facts):
        raise DataError(f"{path} was not put in place: {fault}; run the same command again to fetch it anew")
    return facts


class _BoundedFile(io.FileIO):
    """A new file that takes no more bytes than were announced, and all of them or an error."""

    def __init__(self, path: Path, max_bytes: int | None) -> None:
        super().__init__(path, "xb")
        self._path, self._max_bytes = path, MAX_FILE_BYTES if max_bytes is None else max_bytes

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if self.tell() + len(view) > self._max_bytes:
            raise DataError(f"{self._path.parent}: a file was sent that is larger than its {self._max_bytes} bytes")
        while view:
            view = view[super().write(view) or 0 :]
        return len(data)


def _make_folder(path: Path) -> None:
    for folder in reversed([one for one in (path, *path.parents) if not one.is_dir()]):
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def _num_bytes(name: str) -> int:
    return len(name.encode("utf-8", "surrogatepass"))


def _free_bytes(path: Path) -> int:
    nearest = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(nearest).free
