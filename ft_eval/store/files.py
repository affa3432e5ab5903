"""Files that are whole or absent: bounded reads, atomic writes, and one clear line when the disk says no.

Knows nothing of records or runs; it moves bytes.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ft_eval.errors import NO_ROOM, NoRoomError, StoreError

MAX_FILE_BYTES = 64 * 2**20
"""A whole file, or one line of a log, larger than this was not written by ft-eval and is not read into memory."""

_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})


@contextmanager
def one_clear_line(path: Path, action: str) -> Iterator[None]:
    """Turn an OSError inside the block into a StoreError that names the path, the reason and what to do.

    Raises:
        NoRoomError: In place of an OSError that says that the disk, its inodes, a quota or a file's limit is used up.
        StoreError: In place of any other.
    """
    try:
        yield
    except OSError as error:
        kind = NoRoomError if error.errno in NO_ROOM else StoreError
        raise kind(f"{path}: can't {action}: {error.strerror or error}{_advice(path, error)}") from error


def short_write(path: Path, num_written: int, num_bytes: int) -> NoRoomError:
    """The error for a record of which a filling disk took a part without an error."""
    return NoRoomError(f"{path}: can't write {num_bytes} bytes: only {num_written} fitted{_room(path)}")


def refuse_link(path: Path) -> None:
    """Raise StoreError for a symbolic link: a run folder from elsewhere could make us write or read another file."""
    if path.is_symlink():
        raise StoreError(f"{path} is a symbolic link, which a run folder never holds; put the file itself there")


def refuse_special(path: Path) -> None:
    """Raise StoreError for a device, a pipe or a socket, in whose place a file would be put."""
    with suppress(OSError):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
            raise StoreError(f"{path} is there and is no file; move it away, or choose another folder")


def refuse_in_place_of_file(path: Path) -> None:
    """Raise StoreError for a link, a device or a pipe where a report's file is due: it would be lost, or lead away."""
    if path.is_symlink():
        raise StoreError(f"{path} is a symbolic link, and a report is written as files; move it away, or choose -o DIR")
    refuse_special(path)


def _refuse_irregular(path: Path) -> None:
    """Raise StoreError for what is no file: reading a pipe could wait for ever."""
    refuse_link(path)
    if not stat.S_ISREG(path.stat().st_mode):
        raise StoreError(f"{path}: can't read: it is not a regular file")


def read_bounded(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a regular file whose size is checked before it is read.

    Raises:
        StoreError: The file is absent, unreadable, not a regular file or larger than `max_bytes`.
    """
    with one_clear_line(path, "read"):
        _refuse_irregular(path)
        num_bytes = path.stat().st_size
        if num_bytes > max_bytes:
            raise StoreError(f"{path}: {num_bytes} bytes, and ft-eval writes {max_bytes} at most: not its file")
        return path.read_bytes()


def read_lines(path: Path, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
    """The lines of a file, each with its newline; the last one may lack it.

    Raises:
        StoreError: The file is unreadable, no regular file, or a line is longer than `max_bytes`.
    """
    with one_clear_line(path, "read"):
        _refuse_irregular(path)
    with one_clear_line(path, "read"), path.open("rb") as file:
        number = 1
        while line := file.readline(max_bytes + 1):
            if len(line) > max_bytes:
                raise StoreError(f"{path}:{number}: a line of over {max_bytes} bytes: not a file of ft-eval")
            yield line
            number += 1


def read_pieces(path: Path, num_bytes: int) -> Iterator[bytes]:
    """The bytes of a file, so many at a time.

    Raises:
        StoreError: The file is unreadable or no regular file.
    """
    with one_clear_line(path, "read"):
        _refuse_irregular(path)
    with one_clear_line(path, "read"), path.open("rb") as file:
        while piece := file.read(num_bytes):
            yield piece


def write_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file under a temporary name in its folder, then put it in place; the old file stays until then.

    Raises:
        StoreError: The disk is full, the folder can't be written, or a device or a pipe stands there; no half-written
            file stays behind.
    """
    refuse_special(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with one_clear_line(path, "write"):
            temporary.unlink(missing_ok=True)  # of a process that died; never written through, were it a link
            put_in_place(path, temporary, chunks)
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def put_in_place(path: Path, temporary: Path, chunks: Iterable[bytes]) -> None:
    """Write a file under a name that nothing has yet, beside its own, then give it its own. Raises OSError."""
    with temporary.open("xb") as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, on disk when this returns; an existing one is fine.

    Raises:
        StoreError: It can't be made, or something that is no folder stands there.
    """
    with one_clear_line(path, "make the folder"):
        missing = [folder for folder in (path, *path.parents) if not folder.is_dir()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut, where the file system can."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(fd)


def _advice(path: Path, error: OSError) -> str:
    if error.errno in NO_ROOM:
        return _room(path, why=" under this process's limit on a file's size" if error.errno == errno.EFBIG else "")
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "; a file stands where a folder is needed: choose another --output-path"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "; check who owns it, or choose another --output-path"
    return ""


def _room(path: Path, why: str = "") -> str:
    nearest = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())
    found = os.statvfs(nearest)
    files = f" and {found.f_favail} files" if found.f_files else ""  # some file systems don't count them
    return (
        f"{why} ({found.f_bavail * found.f_frsize} bytes{files} are free there); "
        "nothing stored so far is lost: make room and run the same command again to continue"
    )
