"""A PID namespace of its own for what is started meanwhile, where this machine lets us make one."""

import contextlib
import ctypes
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_CLONE_NEWPID = 0x20000000


@contextlib.contextmanager
def own_pid_namespace() -> Iterator[bool]:
    """The first process that this thread starts is process 1 of a fresh one, with which all in it end.

    Gives whether there is one. A thread can't be started meanwhile: the kernel keeps a process in one namespace.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    ours = os.open("/proc/self/ns/pid", os.O_RDONLY)
    try:
        is_alone = libc.unshare(_CLONE_NEWPID) == 0
        yield is_alone
        if is_alone and libc.setns(ours, _CLONE_NEWPID) != 0:
            raise OSError(ctypes.get_errno(), "the way back to our own PID namespace is shut")
    finally:
        os.close(ours)


def are_elsewhere(pids: Iterable[int]) -> bool:
    """Whether one of these processes is in another PID namespace than ours."""
    ours = Path("/proc/self/ns/pid").readlink()
    return any(found != ours for pid in pids if (found := _of(pid)) is not None)


def _of(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink()
    except OSError:  # it has ended, or is another user's
        return None
