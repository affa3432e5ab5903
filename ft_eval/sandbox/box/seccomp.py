"""The system call filter: a classic BPF program that lets a program compute and refuses it everything about others.

A deny-list with a ceiling: Python and NumPy use too many calls, and too different ones from libc to libc, for a list of
what is allowed; calls newer than the table answer ENOSYS. A refused call answers EPERM and the program goes on. Another
architecture's calls (32-bit, x32) kill it. Knows nothing of files: that is Landlock's and the mount namespace's part,
but what Landlock does not guard (modes, times, owners, attributes, leases, O_TRUNC on old kernels) is not done here.
"""

import ctypes
import errno
import socket
from collections.abc import Callable, Mapping, Sequence

from ft_eval.sandbox.box.kernel import PR_SET_SECCOMP, control_process
from ft_eval.sandbox.box.syscall_table import (
    DECIDED_TABLE,
    DENIED_TABLE,
    IGNORED_TABLE,
    NEWEST_KNOWN,
    UNSUPPORTED_TABLE,
    numbers,
)

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand: `struct sock_filter`."""

_LOAD, _AND = 0x20, 0x54
_IF_EQUAL, _IF_GREATER, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x15, 0x25, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_AUDIT_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_MODE_FILTER = 2
_INSTRUCTION_BYTES = 8
_OWN_PID = 0x5EC0C0DE
"""Stands for the process's own id until there is one; no other operand is this number."""

_CLONE_A_THREAD, _CLONE_NEW_ANYTHING = 0x00010400, 0x7E020080
"""CLONE_THREAD with CLONE_FILES: a thread with descriptors of its own would have as many again."""
_CLOSE_RANGE_UNSHARE = 2
"""Makes descriptors of its own for the calling thread, as CLONE_THREAD without CLONE_FILES would."""
_O_TRUNC, _O_ACCMODE = 0o1000, 0o3
_OUTWARD_COMMANDS = (8, 10, 15, 1024, 1026, 1031)
"""fcntl: F_SETOWN, F_SETSIG, F_SETOWN_EX (a signal to anyone by way of a descriptor), F_SETLEASE (keeps others from a
file that is merely read here), F_NOTIFY, F_SETPIPE_SZ."""
_DEVICE_COMMANDS = (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""ioctl: TCGETS, TCGETS2, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
_PROCESS_OPTIONS = (3, 15, 16, 23, 41, 42, 0x53564D41)
"""prctl: get dumpable, set and get name, read a bounding capability, THP set and get, PR_SET_VMA."""


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def assemble(machine: str) -> bytes:
    """The filter as the kernel wants it, but for the process's own id, which `install` fills in."""
    instructions = (
        *_prologue(machine),
        *_decided(numbers(DECIDED_TABLE, machine)),
        *_answered(_answers(machine)),
        _return(_ALLOW),
    )
    return b"".join(_pack(instruction) for instruction in instructions)


def install(code: bytes, pid: int) -> None:
    """Put the calling thread, whose process knows itself as `pid`, under the filter for good.

    Needs no_new_privs. Raises OSError.
    """
    code = code.replace(_OWN_PID.to_bytes(4, "little"), pid.to_bytes(4, "little"))
    buffer = ctypes.create_string_buffer(code, len(code))
    header = _FilterProgram(len(code) // _INSTRUCTION_BYTES, ctypes.addressof(buffer))
    control_process(PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(header))


def _pack(instruction: Instruction) -> bytes:
    code, if_true, if_false, operand = instruction
    return code.to_bytes(2, "little") + bytes((if_true, if_false)) + operand.to_bytes(4, "little")


def _return(verdict: int) -> Instruction:
    return (_RETURN, 0, 0, verdict)


_DENY = _return(_ERRNO | errno.EPERM)
_ABSENT = _return(_ERRNO | errno.ENOSYS)


def _argument(index: int, *, high: bool = False) -> Instruction:
    """Load one half of an argument; both machines are little-endian."""
    return (_LOAD, 0, 0, _ARGUMENTS_OFFSET + 8 * index + 4 * high)


def _prologue(machine: str) -> list[Instruction]:
    return [
        (_LOAD, 0, 0, _ARCHITECTURE_OFFSET),
        (_IF_EQUAL, 1, 0, _AUDIT_ARCHITECTURE[machine]),
        _return(_KILL),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
        (_IF_AT_LEAST, 0, 1, _X32_BIT),
        _return(_KILL),
        (_IF_GREATER, 0, 1, NEWEST_KNOWN),
        _ABSENT,
    ]


def _decided(known: Mapping[str, int]) -> list[Instruction]:
    """A block per call that its arguments decide; the call's number is in the accumulator before and after each."""
    blocks: Mapping[str, Callable[[], list[Instruction]]] = {
        "clone": lambda: [
            _argument(0),
            (_IF_ANY_BIT, 0, 1, _CLONE_NEW_ANYTHING),
            _DENY,
            (_AND, 0, 0, _CLONE_A_THREAD),
            (_IF_EQUAL, 1, 0, _CLONE_A_THREAD),
            _DENY,
            _return(_ALLOW),
        ],
        "close_range": lambda: [_argument(2), (_IF_ANY_BIT, 0, 1, _CLOSE_RANGE_UNSHARE), _DENY, _return(_ALLOW)],
        "clone3": lambda: [_ABSENT],  # its flags lie behind a pointer; libc falls back to clone
        "kill": lambda: _only(0, (_OWN_PID,)),
        "tgkill": lambda: _only(0, (_OWN_PID,)),
        "prlimit64": lambda: _only(0, (0, _OWN_PID)),
        "prctl": lambda: _only(0, _PROCESS_OPTIONS),
        "socketpair": _socketpair,
        "sendto": lambda: [_argument(4), (_IF_EQUAL, 1, 0, 0), _DENY, *_only(4, (0,), high=True)],
        "fcntl": lambda: _all_but(1, _OUTWARD_COMMANDS),
        "ioctl": lambda: _only(1, _DEVICE_COMMANDS),
        "open": lambda: _no_truncation_by_readers(1),
        "openat": lambda: _no_truncation_by_readers(2),
    }
    program: list[Instruction] = []
    for name, call in known.items():
        block = blocks[name]()
        program += [(_IF_EQUAL, 0, len(block), call), *block]
    return program


def _only(index: int, values: Sequence[int], *, high: bool = False) -> list[Instruction]:
    """Allow the call when the argument's half is one of the values."""
    tests: list[Instruction] = []
    for value in values:
        tests += [(_IF_EQUAL, 0, 1, value), _return(_ALLOW)]
    return [_argument(index, high=high), *tests, _DENY]


def _all_but(index: int, values: Sequence[int]) -> list[Instruction]:
    """Deny the call when the argument's low half is one of the values."""
    tests: list[Instruction] = []
    for value in values:
        tests += [(_IF_EQUAL, 0, 1, value), _DENY]
    return [_argument(index), *tests, _return(_ALLOW)]


def _socketpair() -> list[Instruction]:
    """Connected Unix streams alone (asyncio wakes itself by one): they can't be aimed at anybody else."""
    flags = socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    return [
        _argument(0),
        (_IF_EQUAL, 1, 0, socket.AF_UNIX),
        _DENY,
        _argument(1),
        (_AND, 0, 0, ~flags & 0xFFFFFFFF),
        (_IF_EQUAL, 1, 0, socket.SOCK_STREAM),
        _DENY,
        _return(_ALLOW),
    ]


def _no_truncation_by_readers(index: int) -> list[Instruction]:
    """O_RDONLY with O_TRUNC empties a file that Landlock before ABI 3 takes for merely read."""
    return [
        _argument(index),
        (_AND, 0, 0, _O_TRUNC | _O_ACCMODE),
        (_IF_EQUAL, 0, 1, _O_TRUNC),
        _DENY,
        _return(_ALLOW),
    ]


def _answers(machine: str) -> Mapping[int, Instruction]:
    """Call to answer, for the calls that are answered without being made."""
    tables = {DENIED_TABLE: _DENY, IGNORED_TABLE: _return(_ERRNO), UNSUPPORTED_TABLE: _return(_ERRNO | errno.ENOTSUP)}
    return {call: answer for table, answer in tables.items() for call in numbers(table, machine).values()}


def _answered(answers: Mapping[int, Instruction]) -> list[Instruction]:
    """Runs of numbers with one answer, ascending. What is below a run is in none: the low numbers are through early."""
    runs: list[list[int]] = []
    for call in sorted(answers):
        if runs and call == runs[-1][1] + 1 and answers[call] == answers[runs[-1][0]]:
            runs[-1][1] = call
        else:
            runs.append([call, call])
    program: list[Instruction] = []
    for low, high in runs:
        program += [(_IF_AT_LEAST, 1, 0, low), _return(_ALLOW), (_IF_GREATER, 1, 0, high), answers[low]]
    return program
