"""A control group of its own for what a program may start, where this machine lets us make one."""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_NUMBERS = itertools.count()


@contextlib.contextmanager
def own_group(pids: Iterable[int]) -> Iterator[Path | None]:
    """Put processes, and all that they will start, into a fresh group; None where that is not allowed."""
    group = _make()
    if group is None:
        yield None
        return
    try:
        for pid in pids:
            _move(pid, group)
        yield group
    finally:
        for pid in members(group):
            _move(pid, group.parent)
        with contextlib.suppress(OSError):
            group.rmdir()


def members(group: Path) -> set[int]:
    """The processes in a group."""
    return {int(line) for line in (group / "cgroup.procs").read_text().split()}


def _make() -> Path | None:
    """A fresh group of version 2, whose members are exact; None where the tree is absent or closed."""
    lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    for root in (Path(fields[1]) for fields in lines if fields[2] == "cgroup2"):
        group = root / f"ft-eval-test-{os.getpid()}-{next(_NUMBERS)}"
        with contextlib.suppress(OSError):
            group.mkdir()
            return group
    return None


def _move(pid: int, group: Path) -> None:
    with contextlib.suppress(OSError):  # it has ended
        (group / "cgroup.procs").write_text(str(pid))
