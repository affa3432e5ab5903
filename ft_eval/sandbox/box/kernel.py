"""The kernel calls Python has no name for, by ctypes. Each raises OSError with the call's name. No policy."""

import ctypes
import os
from collections.abc import Mapping

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
_libc.syscall.restype = _libc_with_gil.syscall.restype = ctypes.c_long


class CapabilityHeader(ctypes.Structure):
    """`struct __user_cap_header_struct`, version 3."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class MountAttributes(ctypes.Structure):
    """`struct mount_attr`."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd"))


def number(name: str) -> int:
    """The number of a system call on this machine. Raises OSError on a machine without a table."""
    machine = architecture()
    if machine is None:
        raise OSError(f"{name}: no system call table for this processor ({os.uname().machine})")
    return _NUMBERS[name][machine == "aarch64"]


def system_call(name: str, *arguments: object) -> int:
    """One raw system call: integers, bytes, None or ctypes references. Raises OSError."""
    return _checked(name, _libc.syscall(ctypes.c_long(number(name)), *map(_as_word, arguments)))


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount or remount. Raises OSError that names the target."""
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _checked(f"mount {target}", result)


def unmount_lazily(target: str) -> None:
    """Detach a mount once nobody uses it. Raises OSError."""
    _checked(f"umount {target}", _libc.umount2(target.encode(), MNT_DETACH))


def unshare(flags: int) -> None:
    """Leave namespaces for new ones. Raises OSError."""
    _checked("unshare", _libc.unshare(ctypes.c_int(flags)))


def control_process(option: int, value: int | bytes | object = 0, more: int | object = 0) -> None:
    """Call prctl(2). Raises OSError."""
    result = _libc.prctl(ctypes.c_int(option), _as_word(value), _as_word(more), ctypes.c_ulong(0), ctypes.c_ulong(0))
    _checked(f"prctl {option}", result)


def make_read_only(target: str) -> None:
    """Every mount at and under `target` becomes read-only and nosuid. Raises OSError."""
    attributes = MountAttributes(attr_set=MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID)
    size = ctypes.sizeof(attributes)
    system_call("mount_setattr", AT_FDCWD, target.encode(), AT_RECURSIVE, ctypes.byref(attributes), size)


def drop_capabilities() -> None:
    """Empty the effective, permitted and inheritable sets. Raises OSError."""
    header = CapabilityHeader(version=0x20080522, pid=0)
    system_call("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def fork_into(flags: int) -> tuple[int, int]:
    """Fork with clone(2) into new namespaces: (pid, pidfd) in the parent, (0, -1) in the child. Raises OSError.

    os.fork takes no flags, and unshare(CLONE_NEWPID) works once per process, so the interpreter is told by hand. The
    caller must have a single thread.
    """
    pidfd = ctypes.c_int(-1)
    python = ctypes.pythonapi
    call = ctypes.c_long(number("clone"))
    word = ctypes.c_ulong(flags | CLONE_PIDFD | _SIGCHLD)
    nothing = ctypes.c_void_p(None)
    python.PyOS_BeforeFork()
    pid = _libc_with_gil.syscall(call, word, nothing, ctypes.byref(pidfd), nothing, nothing)
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0, -1
    errno = ctypes.get_errno()
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(errno, f"clone: {os.strerror(errno)}")
    return pid, pidfd.value


def _as_word(argument: object) -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _checked(name: str, result: int) -> int:
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{name}: {os.strerror(errno)}")
    return result
