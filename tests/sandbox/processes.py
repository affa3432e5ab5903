"""Processes, as seen from outside the box."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ft_eval.sandbox.sandbox import Sandbox


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state not in (b"Z", b"X")


def are_gone(pids: Iterable[int]) -> bool:
    return not any(map(is_running, pids))


def becomes_true(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return False


def below(pid: int) -> list[int]:
    """The living processes that a process started, and those that they did."""
    try:
        children = [int(child) for path in Path(f"/proc/{pid}/task").iterdir() for child in _children(path)]
    except OSError:
        return []
    return [one for child in children if is_running(child) for one in (child, *below(child))]


def of(sandbox: Sandbox) -> set[int]:
    """A sandbox's processes: its server's own, with whatever runs it, and a program's, if one runs."""
    process = sandbox._server._process  # type: ignore[union-attr] # both kinds of box have one
    return {process.pid, *below(process.pid)}


def _children(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except OSError:
        return []
