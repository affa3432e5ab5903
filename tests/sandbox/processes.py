"""Processes, as seen from outside the box."""

import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ft_eval.sandbox.container import ContainerServer
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
    server = sandbox._server
    process = server._process  # type: ignore[union-attr] # both kinds of box have one
    return {process.pid, *below(process.pid), *_of_container(server)}


def num_in_container(sandbox: Sandbox) -> int:
    """The processes of a container that a daemon started: they are not below us, nor in our PID namespace."""
    return len(_of_container(sandbox._server))


def _of_container(server: object) -> list[int]:
    if not isinstance(server, ContainerServer) or Path(server._docker).read_bytes().startswith(b"#!"):  # a stand-in
        return []
    top = [server._docker, "top", server._name, "-eo", "pid"]
    found = subprocess.run(top, capture_output=True, text=True, check=False).stdout
    return [int(line) for line in found.split() if line.isdigit()]


def _children(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except OSError:
        return []
