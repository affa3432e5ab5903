"""One writer per run: an flock on `run.lock`, which the kernel lets go when its process ends, however it ends.

The file's content only tells the next one who holds it. Where the file system has no locks (some cluster file systems),
a lease file with a heartbeat stands in. Linux and macOS; a lock is seen on other hosts where the file system shares
locks.
"""

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Self

from ft_eval.errors import StoreError
from ft_eval.store.files import one_clear_line, refuse_link
from ft_eval.store.lease import Lease, read_owner
from ft_eval.store.owner import MAX_OWNER_BYTES, Owner

_BUSY = frozenset({errno.EWOULDBLOCK, errno.EACCES})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
_PATIENCE_SECONDS = 0.5
"""`held_by` holds a lock for an instant; a writer waits that out."""


class RunLock:
    """The right to write a run, held until `release` or the end of the process."""

    def __init__(self, fd: int, owner: Owner, lease: Lease | None = None) -> None:
        self.owner = owner
        """Who holds it: this process."""
        self._fd = fd
        self._lease = lease

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Take the lock, at once or not at all.

        Raises:
            StoreError: Another process holds it (it is named), or the file can't be made.
        """
        refuse_link(path)
        owner = Owner.this_process()
        with one_clear_line(path, "lock"):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            lease = None if _lock(fd, path) else Lease.acquire(_lease_path(path))
            with one_clear_line(path, "lock"):
                os.ftruncate(fd, 0)
                os.pwrite(fd, owner.line(), 0)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, owner, lease)

    def assert_held(self) -> None:
        """Raise StoreError where another process has the run now, as it can happen to a lease."""
        if self._lease is not None:
            self._lease.assert_held()

    def release(self) -> None:
        """Let go; twice is fine."""
        if self._lease is not None:
            self._lease.release()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def held_by(path: Path) -> Owner | None:
    """Who holds a run's lock now, as far as can be seen from this host; None where nobody does."""
    if (leased := read_owner(_lease_path(path))) is not None:
        return None if leased.is_gone() else leased
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    owner = None
    try:
        owner = Owner.parse(os.pread(fd, MAX_OWNER_BYTES, 0))
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return owner if error.errno in _BUSY else None
    finally:
        os.close(fd)
    return None


def _lease_path(path: Path) -> Path:
    return path.with_suffix(".lease")


def _lock(fd: int, path: Path) -> bool:
    """Take the lock; False where the file system has none."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            if error.errno not in _BUSY:
                raise StoreError(f"{path}: can't lock: {error.strerror}") from error
            if time.monotonic() >= deadline:
                raise _refusal(path, fd) from error
            time.sleep(0.02)
        else:
            return True


def _refusal(path: Path, fd: int) -> StoreError:
    who = Owner.parse(os.pread(fd, MAX_OWNER_BYTES, 0)) or "another process"
    return StoreError(f"{path.parent} is in use by {who}; wait for it to end, or choose another --output-path")
