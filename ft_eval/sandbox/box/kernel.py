"""The kernel calls Python has no name for, by ctypes. Each raises OSError with the call's name. No policy."""

import ctypes
import functools
import os
import struct
from collections.abc import Callable, Mapping

from ft_eval.sandbox.box.syscall_table import architecture

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
CLONE_PIDFD = 0x00001000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 0x1, 0x2, 0x4, 0x8, 0x20
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 0x2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID = 0x1, 0x2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 15, 22, 38
_SIGCHLD = 17

_NUMBERS: Mapping[str, tuple[int, int]] = {
    "clone": (56, 220),
    "pivot_root": (155, 41),
    "capset": (126, 91),
    "mount_setattr": (442, 442),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}
"""Name to number on x86-64 and on aarch64."""
_libc = ctypes.CDLL(None, use_errno=True)
_libc_with_gil = ctypes.PyDLL(None, use_errno=True)
_WORD = ctypes.c_void_p
"""What a register holds: an int, bytes (their address), a ctypes reference or None for 0."""
_NUM_ARGUMENTS = 6
for _library in (_libc, _libc_with_gil):
    _library.syscall.restype = ctypes.c_long
    _library.syscall.argtypes = (ctypes.c_long, *[_WORD] * _NUM_ARGUMENTS)
_libc.prctl.argtypes = (ctypes.c_int, *[_WORD] * 4)
_libc.mount.argtypes = (*[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p)
_MOUNT_ATTRIBUTES = struct.Struct("=QQQQ")
"""`struct mount_attr`: attr_set, attr_clr, propagation, userns_fd."""
_NO_CAPABILITIES = (struct.pack("=Ii", 0x20080522, 0), bytes(24))
"""`struct __user_cap_header_struct`, version 3, for the caller, and two empty `struct __user_cap_data_struct`."""


@functools.cache
def number(name: str) -> int:
    """The number of a system call on this machine. Raises OSError on a machine without a table."""
    machine = architecture()
    if machine is None:
        raise OSError(f"{name}: no system call table for this processor ({os.uname().machine})")
    return _NUMBERS[name][machine == "aarch64"]


def system_call(name: str, *arguments: object) -> int:
    """One raw system call: integers, bytes, None or ctypes references. Raises OSError."""
    padding = (None,) * (_NUM_ARGUMENTS - len(arguments))
    return _checked(name, _libc.syscall(number(name), *arguments, *padding))


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount or remount. Raises OSError that names the target."""
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode())
    _checked(f"mount {target}", result)


def unmount_lazily(target: str) -> None:
    """Detach a mount once nobody uses it. Raises OSError."""
    _checked(f"umount {target}", _libc.umount2(target.encode(), MNT_DETACH))


def unshare(flags: int) -> None:
    """Leave namespaces for new ones. Raises OSError."""
    _checked("unshare", _libc.unshare(ctypes.c_int(flags)))


def control_process(option: int, value: int | bytes | object = 0, more: int | object = 0) -> None:
    """Call prctl(2). Raises OSError."""
    _checked(f"prctl {option}", _libc.prctl(option, value, more, None, None))


def make_read_only(target: str) -> None:
    """Every mount at and under `target` becomes read-only and nosuid. Raises OSError."""
    attributes = _MOUNT_ATTRIBUTES.pack(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, 0, 0, 0)
    system_call("mount_setattr", AT_FDCWD, target.encode(), AT_RECURSIVE, attributes, len(attributes))


def drop_capabilities() -> None:
    """Empty the effective, permitted and inheritable sets. Raises OSError."""
    system_call("capset", *_NO_CAPABILITIES)


def forker(flags: int) -> Callable[[], tuple[int, int]]:
    """A function that forks with clone(2) into new namespaces: (pid, pidfd) in the parent, (0, -1) in the child.

    It raises OSError. os.fork takes no flags, and unshare(CLONE_NEWPID) works once per process, so the interpreter is
    told by hand. The caller must have a single thread.
    """
    pidfd = ctypes.c_int(-1)
    syscall, python = _libc_with_gil.syscall, ctypes.pythonapi
    before, in_child, in_parent = python.PyOS_BeforeFork, python.PyOS_AfterFork_Child, python.PyOS_AfterFork_Parent
    arguments = (number("clone"), flags | CLONE_PIDFD | _SIGCHLD, None, ctypes.addressof(pidfd), None, None, None)

    def fork() -> tuple[int, int]:
        before()
        pid = syscall(*arguments)
        if pid == 0:
            in_child()
            return 0, -1
        errno = ctypes.get_errno()
        in_parent()
        if pid < 0:
            raise OSError(errno, f"clone: {os.strerror(errno)}")
        return pid, pidfd.value

    return fork


def _checked(name: str, result: int) -> int:
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{name}: {os.strerror(errno)}")
    return result
