"""One writer per run where the file system has no locks: a file that only one process can make, and its heartbeat.

A holder renews the file's time every half minute. It is taken over when its process is gone (same host), its host has
booted since, or, for a process of another host, after ten minutes without a heartbeat, by the file server's own clock.
A holder that slept through that finds out before it writes a result. Knows no run.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from ft_eval.errors import StoreError
from ft_eval.store.files import one_clear_line, refuse_link
from ft_eval.store.owner import MAX_OWNER_BYTES, Owner

HEARTBEAT_SECONDS = 30.0
STALE_SECONDS = 600.0


class Lease:
    """The right to write a run, held until `release`, the end of the process, or ten minutes of sleep."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self._path, self._line = path, owner.line()
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._heart.start()

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Take the lease, from nobody or from a holder that is no more.

        Raises:
            StoreError: Another process holds it (it is named), or the file can't be made.
        """
        owner = Owner.this_process()
        refuse_link(path)
        with one_clear_line(path, "lock"):
            if not _make(path, owner):
                _evict(path)
                if not _make(path, owner):
                    raise _refusal(path, read_owner(path))
        return cls(path, owner)

    def assert_held(self) -> None:
        """Raise StoreError where another process has taken the run over."""
        if _content(self._path) != self._line:
            raise StoreError(
                f"{self._path.parent} was taken over by {read_owner(self._path) or 'another process'} while this one "
                "gave no sign of life; what it had answered is kept"
            )

    def release(self) -> None:
        """Let go; twice is fine."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._heart.join()
        if _content(self._path) == self._line:
            with suppress(OSError):
                self._path.unlink()

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            with suppress(OSError):
                if _content(self._path) == self._line:
                    os.utime(self._path)


def read_owner(path: Path) -> Owner | None:
    """Who holds the lease; None where nobody does."""
    return Owner.parse(_content(path))


def _make(path: Path, owner: Owner) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(fd, "wb") as file:
        file.write(owner.line())
        file.flush()
        os.fsync(fd)
    return True


def _evict(path: Path) -> None:
    """Move a stale lease out of the way; refuse where its holder may live."""
    seen = _content(path)
    holder = Owner.parse(seen)
    if not _is_stale(path, holder):
        raise _refusal(path, holder)
    evicted = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):  # another one was faster: making ours will tell
        path.rename(evicted)
        if _content(evicted) != seen:  # the faster one's lease, and a live one: put it back
            with suppress(FileExistsError):
                os.link(evicted, path)
        evicted.unlink()


def _is_stale(path: Path, holder: Owner | None) -> bool:
    if holder is not None and holder.is_here():
        return holder.is_gone()
    return _age_seconds(path) > STALE_SECONDS


def _age_seconds(path: Path) -> float:
    """Seconds since the last heartbeat, by the clock that stamps the folder's files."""
    now = path.with_name(f".{path.name}.now.{os.getpid()}")
    try:
        now.touch()
        return now.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        now.unlink(missing_ok=True)


def _content(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(fd, MAX_OWNER_BYTES)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _refusal(path: Path, holder: Owner | None) -> StoreError:
    who = holder or "another process"
    return StoreError(
        f"{path.parent} is in use by {who}; wait for it to end, or choose another --output-path "
        f"(this file system has no locks: if that process is no more, delete {path.name} there)"
    )
