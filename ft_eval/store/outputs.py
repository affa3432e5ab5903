"""The file that a user names for a command's outcome, such as `--json OUT`: tried before the work, written after it.

Through a link its target is replaced, whole or not at all; a device, a pipe and one of the process's own descriptors
(/dev/stdout, /dev/fd/3) are written to as they are. Knows nothing of run folders, where a link may be a stranger's.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ft_eval.errors import NO_ROOM, NoRoomError, UsageError
from ft_eval.store.files import put_in_place

_MAX_LINKS = 40


def try_output(flag: str, path: Path, inputs: Iterable[Path | None] = ()) -> None:
    """Find out before the work whether its outcome can be written.

    Args:
        flag: the option's name, for the error.
        path: what the user named.
        inputs: files that the work reads; None for those that were not given.

    Raises:
        UsageError: it is a folder, an input, in a folder that is not there, or can't be written.
        NoRoomError: there is no room for it.
    """
    if path.is_dir():
        raise UsageError(f"{flag} {path}: expected a file in a folder that exists, and this is a folder")
    if any(one is not None and _is_same(path, one) for one in inputs):
        raise UsageError(f"{flag} {path}: that is an input; name another file")
    if is_written_as_it_is(path):
        if not os.access(path, os.W_OK):
            raise UsageError(f"{flag} {path} can't be written (Permission denied); name another file")
        return
    with _one_line(flag, path):
        target = _target(path)
        if not target.parent.is_dir():
            raise UsageError(f"{flag} {path}: expected a file in a folder that exists")
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError("it may not be changed")
        with _temporary(target) as temporary:
            temporary.touch(exist_ok=False)


def write_output(flag: str, path: Path, content: bytes) -> None:
    """Write the outcome where the user wants it.

    Raises:
        UsageError: it can't be written.
        NoRoomError: there is no room for it; an old file stays as it was.
        BrokenPipeError: it is a pipe that nobody reads any more.
    """
    with _one_line(flag, path):
        if is_written_as_it_is(path):
            _write_into(path, content)
            return
        target = _target(path)
        with _temporary(target) as temporary:
            put_in_place(target, temporary, [content])


def is_written_as_it_is(path: Path) -> bool:
    """Whether a path is a device, a pipe or an open descriptor, in whose place no file may be put."""
    if _descriptor(path) is not None:
        return True
    with suppress(OSError):
        return not stat.S_ISREG(path.stat().st_mode)
    return False


def is_stdout(path: Path) -> bool:
    """Whether what is written there goes where the command's own words go, as with /dev/stdout."""
    return _descriptor(path) == 1


def _write_into(path: Path, content: bytes) -> None:
    number = _descriptor(path)
    if number is None:
        with path.open("wb", buffering=0) as file:
            _write_all(file.fileno(), content)
        return
    for stream in (sys.stdout, sys.stderr):  # what was said before comes before
        if stream is not None:
            stream.flush()
    _write_all(number, content)


def _write_all(number: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(number, left) :]


def _descriptor(path: Path) -> int | None:
    """The number in /dev/fd/3 or /proc/self/fd/3, however many links lead there; None of any other path.

    Its file is not opened anew: `> out.txt` would then be written from its beginning by two.
    """
    seen, own = path.absolute(), f"/proc/{os.getpid()}/fd"
    for _ in range(_MAX_LINKS):
        if os.path.realpath(seen.parent) == own and seen.name.isdecimal():
            return int(seen.name)
        if not seen.is_symlink():
            return None
        seen = seen.parent / seen.readlink()
    return None


def _target(path: Path) -> Path:
    """Where links lead. Raises OSError where they lead in a circle."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return target


def _is_same(path: Path, other: Path) -> bool:
    """Whether both are one file, by whatever names and links; a device is no file that is lost by writing to it."""
    with suppress(OSError):
        return path.samefile(other) and not stat.S_ISCHR(path.stat().st_mode)
    return False


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """A name beside the target; what is still there at the end is taken away."""
    temporary = target.with_name(f".ft-eval-{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # of a dead process with our number; never written through, were it a link
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def _one_line(flag: str, path: Path) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        what = f"{flag} {path} can't be written ({error.strerror or error})"
        if error.errno in NO_ROOM:
            raise NoRoomError(f"{what}; make room, or name a file elsewhere") from error
        raise UsageError(f"{what}; name another file") from error
