"""The filter's tables agree with the kernel's headers, and its program decides every call as it says."""

import errno
import re
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from ft_eval.sandbox.box import kernel, seccomp
from ft_eval.sandbox.box.syscall_table import (
    DECIDED_TABLE,
    DENIED_TABLE,
    IGNORED_TABLE,
    NEWEST_KNOWN,
    UNSUPPORTED_TABLE,
    numbers,
)

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
MACHINES = sorted(HEADERS)
DENIED, ABSENT, KILLED, ALLOWED = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS, 0x80000000, 0x7FFF0000
DONE, UNSUPPORTED = 0x50000, 0x50000 | errno.ENOTSUP
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PID = 4711


def run_filter(machine: str, call: int, arguments: tuple[int, ...] = (), architecture: int | None = None) -> int:
    """A slow interpreter of classic BPF: what the kernel would answer."""
    code = seccomp.assemble(machine).replace(seccomp._OWN_PID.to_bytes(4, "little"), PID.to_bytes(4, "little"))
    instructions = list(struct.iter_unpack("<HBBI", code))
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", call & 0xFFFFFFFF, architecture or AUDIT[machine], 0, *padded)
    accumulator, place = 0, 0
    while True:
        operation, if_true, if_false, operand = instructions[place]
        place += 1
        if operation == 0x06:
            return int(operand)
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x54:
            accumulator &= operand
        else:
            tests: Mapping[int, bool] = {
                0x15: accumulator == operand,
                0x25: accumulator > operand,
                0x35: accumulator >= operand,
                0x45: bool(accumulator & operand),
            }
            place += if_true if tests[operation] else if_false


@pytest.mark.parametrize("machine", MACHINES)
def test_the_tables_agree_with_the_kernels_headers(machine: str) -> None:
    if not HEADERS[machine].is_file():
        pytest.skip(f"no kernel headers at {HEADERS[machine]}")
    pairs = re.findall(r"#define\s+__NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text())
    known = {name: int(number) for name, number in pairs}
    tables = (DENIED_TABLE, DECIDED_TABLE, IGNORED_TABLE, UNSUPPORTED_TABLE)
    ours = {name: call for table in tables for name, call in numbers(table, machine).items()}
    ours |= {name: pair[machine == "aarch64"] for name, pair in kernel._NUMBERS.items()}
    compared = {name: number for name, number in ours.items() if name in known}
    assert compared == {name: known[name] for name in compared}
    assert len(compared) > 130


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_is_answered_exactly_as_the_tables_say(machine: str) -> None:
    answers = {DENIED_TABLE: DENIED, IGNORED_TABLE: DONE, UNSUPPORTED_TABLE: UNSUPPORTED}
    expected = {call: answer for table, answer in answers.items() for call in numbers(table, machine).values()}
    decided = set(numbers(DECIDED_TABLE, machine).values())
    assert len(expected) == sum(len(numbers(table, machine)) for table in answers)
    for call in range(NEWEST_KNOWN + 1):
        if call not in decided:
            assert run_filter(machine, call) == expected.get(call, ALLOWED), call
    assert run_filter(machine, NEWEST_KNOWN + 1) == ABSENT
    assert run_filter(machine, 0x40000001) == KILLED
    assert run_filter(machine, 0, architecture=0x40000003) == KILLED


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "verdict"),
    [
        ("clone", (0x3D0F00,), ALLOWED),  # a thread, as glibc makes it
        ("clone", (0x3D0F00 & ~0x400,), DENIED),  # a thread with descriptors of its own
        ("clone", (0x400 | 17,), DENIED),  # a fork that shares its descriptors
        ("clone", (17,), DENIED),  # fork
        ("clone", (0x4111,), DENIED),  # vfork
        ("clone", (0x3D0F00 | 0x10000000,), DENIED),  # a thread in a new user namespace
        ("clone3", (), ABSENT),
        ("kill", (PID, 9), ALLOWED),
        ("kill", (PID + 1, 9), DENIED),
        ("kill", (0xFFFFFFFFFFFFFFFF, 9), DENIED),
        ("kill", (0, 9), DENIED),
        ("tgkill", (PID, PID, 6), ALLOWED),
        ("tgkill", (1, 1, 6), DENIED),
        ("prlimit64", (0, 7), ALLOWED),
        ("prlimit64", (PID, 7), ALLOWED),
        ("prlimit64", (PID + 1, 7), DENIED),
        ("prctl", (15,), ALLOWED),
        ("prctl", (1,), DENIED),
        ("prctl", (4,), DENIED),
        ("prctl", (22,), DENIED),
        ("socketpair", (1, 0x80801, 0), ALLOWED),
        ("socketpair", (1, 2, 0), DENIED),
        ("socketpair", (2, 1, 0), DENIED),
        ("sendto", (3, 0, 0, 0, 0, 0), ALLOWED),
        ("sendto", (3, 0, 0, 0, 0x7F00_0000_1000, 16), DENIED),
        ("sendto", (3, 0, 0, 0, 0x7F00_0000_0000, 16), DENIED),
        ("close_range", (3, 9, 0), ALLOWED),
        ("close_range", (3, 9, 4), ALLOWED),
        ("close_range", (3, 9, 2), DENIED),
        ("close_range", (3, 9, 6), DENIED),
        ("fcntl", (3, 1), ALLOWED),
        ("fcntl", (3, 8), DENIED),
        ("fcntl", (3, 10), DENIED),
        ("fcntl", (3, 15), DENIED),
        ("ioctl", (0, 0x5401), ALLOWED),
        ("ioctl", (0, 0x5412), DENIED),
        ("ioctl", (0, 0x40086602), DENIED),
        ("ioctl", (0, 0x8912), DENIED),
        ("fcntl", (3, 1024), DENIED),
        ("openat", (0, 0, 0o1101), ALLOWED),
        ("openat", (0, 0, 0), ALLOWED),
        ("openat", (0, 0, 0o1000), DENIED),
    ],
)
def test_calls_are_decided_by_their_arguments(
    machine: str, name: str, arguments: tuple[int, ...], verdict: int
) -> None:
    assert run_filter(machine, numbers(DECIDED_TABLE, machine)[name], arguments) == verdict


def test_no_operand_but_the_own_process_id_is_the_placeholder() -> None:
    for machine in MACHINES:
        words = [operand for *_, operand in struct.iter_unpack("<HBBI", seccomp.assemble(machine))]
        assert words.count(seccomp._OWN_PID) == 3
        assert seccomp.assemble(machine).count(seccomp._OWN_PID.to_bytes(4, "little")) == 3
