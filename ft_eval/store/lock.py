"""One writer per run: an flock on `run.lock`, which the kernel lets go when its process ends, however it ends.

The file's content only tells the next one who holds it. Linux and macOS; a lock is seen on other hosts where the file
system shares locks (NFS 4 does, some cluster file systems do not).
"""

import errno
import fcntl
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from ft_eval.errors import StoreError
from ft_eval.store.files import one_clear_line, refuse_link

_BUSY = frozenset({errno.EWOULDBLOCK, errno.EACCES})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
_MAX_OWNER_BYTES = 500


class RunLock:
    """The right to write a run, held until `release` or the end of the process."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Take the lock, at once or not at all.

        Raises:
            StoreError: Another process holds it (it is named), or the file system has no locks.
        """
        refuse_link(path)
        with one_clear_line(path, "lock"):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _sign(fd)
        except OSError as error:
            owner = os.pread(fd, _MAX_OWNER_BYTES, 0)
            os.close(fd)
            raise _refusal(path, error, owner) from error
        return cls(fd)

    def release(self) -> None:
        """Let go; twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _sign(fd: int) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode("ascii", "replace"), 0)


def _refusal(path: Path, error: OSError, owner: bytes) -> StoreError:
    if error.errno in _BUSY:
        who = " ".join(owner.decode("ascii", "replace").split()) or "another process"
        return StoreError(f"{path.parent} is in use by {who}; wait for it to end, or choose another --output-path")
    if error.errno in _NO_LOCKS:
        return StoreError(f"{path}: this file system has no file locks; choose an --output-path on a local disk")
    return StoreError(f"{path}: can't lock: {error.strerror}")
