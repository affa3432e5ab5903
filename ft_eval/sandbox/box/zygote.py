"""The fork server: import once, put the walls up once, then fork a confined child per program and report how it ended.

It holds no task data: a job passes through it as a descriptor that only the child reads. It speaks to its owner over
one control socket, and ends with it: end of file on the socket, or the owner's death, ends the server, and the server's
death ends the child.

    owner → server   limits as JSON, with two descriptors: the job (read) and the answer pipe (write)
    server → owner   first what it is with its own pidfd, or what went wrong; per job {"pid"} with the child's pidfd,
                     and {"status", …} at its end
"""

import contextlib
import fcntl
import functools
import gc
import importlib
import json
import os
import platform
import random
import resource
import select
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ft_eval.sandbox.box import child, confine, held, kernel, namespaces, numpy_import, scratch, walls
from ft_eval.sandbox.box.config import ChildLimits, ServerConfig

_limits = functools.lru_cache(maxsize=8)(ChildLimits.load)
_set_signal = importlib.import_module("_signal").signal
"""`signal.signal` without its search for names, which touches fifty pages."""
_SIGTERM, _DEFAULT = int(signal.SIGTERM), int(signal.SIG_DFL)
_WATCH_MILLISECONDS = 100
_MAX_MESSAGE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    control: socket.socket
    walls: confine.Walls
    fork: Callable[[], tuple[int, int]]
    """(pid, pidfd) in the server, (0, -1) in the child. Raises OSError."""


def main(config_text: str) -> None:
    """Serve until the owner hangs up. What fails before that is told to the owner in one line."""
    config = ServerConfig.load(config_text)
    control = _reserve_descriptors(config.control_fd)
    signal.signal(signal.SIGTERM, _leave)
    walls.die_with_owner(config.tier)
    kernel.control_process(kernel.PR_SET_NAME, b"ft-eval-box")
    _be_first_to_go()
    try:
        up = walls.put_up(config)
    except (OSError, ImportError) as error:
        _tell(control, {"error": " ".join(str(error).split())})
        return
    hello = json.dumps({"walls": walls.describe(up), "python": platform.python_version()}).encode()
    socket.send_fds(control, [hello], [up.server_pidfd])
    server = _Server(
        control=control, walls=up, fork=kernel.forker(namespaces.CHILD_FLAGS) if up.tier == "ns" else _fork
    )
    _settle()
    try:
        while _serve_one(server):
            pass
    finally:
        _clean_up(config)


def _settle() -> None:
    """What is there now stays: no child's collector looks at it, and each begins with the same random numbers."""
    random.seed(0)
    gc.collect()
    gc.freeze()


def _leave(_number: int, _frame: object) -> NoReturn:
    """The owner has died: end as if it had hung up."""
    raise SystemExit


def _clean_up(config: ServerConfig) -> None:
    """Let no child and no folder outlive the server. An owner that lives removes the folder itself."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if config.tier in {"ns", "bwrap"}:
        return  # the child dies with the server, and its folder with it
    with contextlib.suppress(OSError):
        for pid in children.read_text(encoding="ascii").split():
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)
        scratch.empty(config.work_dir)
        Path(config.work_dir).rmdir()


def _reserve_descriptors(control_fd: int) -> socket.socket:
    """The control socket, out of the way of the two numbers a child will use."""
    control = socket.socket(fileno=fcntl.fcntl(control_fd, fcntl.F_DUPFD_CLOEXEC, child.FIRST_FREE_FD))
    os.close(control_fd)
    while os.open(os.devnull, os.O_RDWR) < child.FIRST_FREE_FD - 1:
        pass
    return control


def _be_first_to_go() -> None:
    """When the machine runs out of memory, the kernel takes a box and not the run."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    except OSError:
        return


def _serve_one(server: _Server) -> bool:
    """Take one job to its end. False when the owner has hung up."""
    text, descriptors, _, _ = socket.recv_fds(server.control, _MAX_MESSAGE_BYTES, 2)
    if not text or len(descriptors) != 2:
        return False
    limits = _limits(text)
    try:
        if server.walls.tier != "ns":
            scratch.check_room(server.walls.scratch_dir, limits.scratch_bytes)
        if limits.uses_numpy and numpy_import.load():
            _settle()
        pid, pidfd = server.fork()
        if pid == 0:
            _set_signal(_SIGTERM, _DEFAULT)
            child.live(server.walls, limits, descriptors)
    except (OSError, ImportError) as error:
        _tell(server.control, {"error": " ".join(str(error).split())})
        return True
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    socket.send_fds(server.control, [json.dumps({"pid": pid}).encode()], [pidfd])
    is_owner_there = _wait(server, pid, pidfd, limits)
    if server.walls.tier != "ns":
        scratch.empty(server.walls.scratch_dir)
    return is_owner_there


def _fork() -> tuple[int, int]:
    pid = os.fork()
    return (pid, os.pidfd_open(pid)) if pid else (0, -1)


def _wait(server: _Server, pid: int, pidfd: int, limits: ChildLimits) -> bool:
    """Wait for the child, report its end. False when the owner hung up first (the child is then killed)."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.register(server.control, select.POLLIN)
    is_watched = server.walls.tier != "ns"
    is_owner_there, is_over = True, False
    while True:
        ready = dict(poller.poll(_WATCH_MILLISECONDS if is_watched else None))
        if pidfd in ready:
            break
        if server.control.fileno() in ready:  # nothing is said while a job runs: this is the end of file
            is_owner_there = False
        if not is_owner_there or (is_watched and _takes_too_much(server.walls, pidfd, limits)):
            is_over = is_owner_there
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            poller.unregister(server.control)
            is_watched = False
    os.close(pidfd)
    _, status, usage = os.wait4(pid, 0)
    if is_owner_there:
        _tell(server.control, _report(status, usage, is_over=is_over))
    return is_owner_there


def _takes_too_much(up: confine.Walls, pidfd: int, limits: ChildLimits) -> bool:
    """Of its scratch folder, by name or without."""
    if scratch.is_over(up.scratch_dir, limits.scratch_bytes):
        return True
    return up.tier == "ll" and held.holds_too_many(pidfd, up.scratch_dir)


def _report(status: int, usage: resource.struct_rusage, *, is_over: bool) -> Mapping[str, object]:
    return {
        "status": os.waitstatus_to_exitcode(status),
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_memory_bytes": usage.ru_maxrss * 1024,
        "over_scratch": is_over,
    }


def _tell(control: socket.socket, message: Mapping[str, object]) -> None:
    try:
        control.send(json.dumps(message).encode())
    except BrokenPipeError:
        return
