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
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ft_eval.sandbox.box import (
    child,
    confine,
    kernel,
    landlock,
    namespaces,
    numpy_import,
    reach,
    scratch,
    seccomp,
    view,
)
from ft_eval.sandbox.box.config import ChildLimits, ServerConfig
from ft_eval.sandbox.box.syscall_table import architecture

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
    scratch_dir: str
    """Where a child's temporary files go: a tmpfs is mounted here (ns), or the folder itself is used."""
    kept: tuple[int, ...]
    """Descriptors that children need for imports (tier ll as root), in ascending order."""
    fork: Callable[[], tuple[int, int]]
    """(pid, pidfd) in the server, (0, -1) in the child. Raises OSError."""


def main(config_text: str) -> None:
    """Serve until the owner hangs up. What fails before that is told to the owner in one line."""
    config = ServerConfig.load(config_text)
    control = _reserve_descriptors(config.control_fd)
    signal.signal(signal.SIGTERM, _leave)
    _die_with_owner(config.tier)
    kernel.control_process(kernel.PR_SET_NAME, b"ft-eval-box")
    _be_first_to_go()
    numpy_import.offer(config.numpy_parent)
    try:
        server = _put_up_walls(config, control)
    except OSError as error:
        _tell(control, {"error": str(error)})
        return
    hello = json.dumps({"walls": _describe(server.walls), "python": platform.python_version()}).encode()
    socket.send_fds(control, [hello], [server.walls.server_pidfd])
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


def _die_with_owner(tier: str) -> None:
    """End when the owner does. Inside bubblewrap this is process 1, with which everything in the box ends at once."""
    kernel.control_process(kernel.PR_SET_PDEATHSIG, signal.SIGKILL if tier == "bwrap" else signal.SIGTERM)


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


def _put_up_walls(config: ServerConfig, control: socket.socket) -> _Server:
    trees = view.readable_trees(config.numpy_parent)
    abi = landlock.abi() if config.tier != "none" else 0
    machine = architecture() if config.tier != "none" else None
    scratch_dir, ruleset, is_root = config.work_dir, -1, False
    kept: tuple[int, ...] = ()
    rules: tuple[landlock.Rule, ...] = ()
    if config.tier == "ns":
        namespaces.enter(config.work_dir, trees)
        rules = landlock.hold(abi, read=("/",), write=view.DEVICES) if abi else ()
        scratch_dir, is_root = "/tmp", os.geteuid() == 0  # noqa: S108 (a tmpfs of the child's own)
    elif config.tier != "none":  # the caller's own namespaces, or walls that somebody else has put up
        _require(config.tier, abi, machine)
        if abi:
            ruleset = landlock.create(abi)
            landlock.add(ruleset, landlock.hold(abi, read=trees, write=(config.work_dir, *view.DEVICES)))
        kept = _give_up_root(config.tier, (*trees, config.numpy_parent))
    _tidy(scratch_dir)
    syscall_filter = seccomp.assemble(machine) if machine else b""
    walls = confine.Walls(
        tier=config.tier,
        landlock_abi=abi,
        ruleset=ruleset,
        rules=rules,
        syscall_filter=syscall_filter,
        is_root=is_root,
        server_pidfd=os.pidfd_open(os.getpid()),
    )
    fork = kernel.forker(namespaces.CHILD_FLAGS) if config.tier == "ns" else _fork
    return _Server(control=control, walls=walls, scratch_dir=scratch_dir, kept=kept, fork=fork)


def _tidy(scratch_dir: str) -> None:
    """What a program finds: an environment, arguments and a search path that say nothing of this machine's owner."""
    for name in list(os.environ):
        if name not in {"LANG", "PATH", "TZ"}:
            del os.environ[name]
    os.environ.update(HOME=scratch_dir, TMPDIR=scratch_dir)
    sys.argv[:] = sys.orig_argv[:] = ["solution"]
    tempfile.tempdir = scratch_dir


def _require(tier: str, abi: int, machine: str | None) -> None:
    """Landlock is the only wall of ll, and an inner one of bwrap and docker. The filter is never done without."""
    if not abi and tier == "ll":
        raise OSError("this kernel has no Landlock (5.13 or newer with landlock in its lsm list)")
    if machine is None:
        raise OSError(f"no system call table for this processor ({os.uname().machine})")


def _give_up_root(tier: str, folders: tuple[str, ...]) -> tuple[int, ...]:
    if os.geteuid() != 0:
        return ()
    numpy_import.load()  # while it can be got at
    held = reach.hold(folder for folder in folders if folder)
    confine.become_nobody()
    _die_with_owner(tier)  # a change of uid clears it
    return tuple(sorted(reach.reroute(held)))


def _describe(walls: confine.Walls) -> str:
    outer = {"ns": "namespaces", "none": "no isolation", "bwrap": "bubblewrap", "docker": "container"}
    parts = [outer[walls.tier]] if walls.tier in outer else []
    if walls.tier == "ns" and not walls.is_root:
        parts = ["namespaces (user)"]
    if walls.landlock_abi:
        parts.append(f"landlock {walls.landlock_abi}")
    if walls.syscall_filter:
        parts.append("seccomp")
    return "+".join([*parts, "rlimits"])


def _serve_one(server: _Server) -> bool:
    """Take one job to its end. False when the owner has hung up."""
    text, descriptors, _, _ = socket.recv_fds(server.control, _MAX_MESSAGE_BYTES, 2)
    if not text or len(descriptors) != 2:
        return False
    limits = _limits(text)
    if limits.uses_numpy and numpy_import.load():
        _settle()
    try:
        pid, pidfd = server.fork()
        if pid == 0:
            _set_signal(_SIGTERM, _DEFAULT)
            child.live(server.walls, limits, server.scratch_dir, server.kept, descriptors)
    except OSError as error:
        _tell(server.control, {"error": str(error)})
        return True
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    socket.send_fds(server.control, [json.dumps({"pid": pid}).encode()], [pidfd])
    is_owner_there = _wait(server, pid, pidfd, limits)
    if server.walls.tier != "ns":
        scratch.empty(server.scratch_dir)
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
        if not is_owner_there or (is_watched and scratch.is_over(server.scratch_dir, limits.scratch_bytes)):
            is_over = is_owner_there
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            poller.unregister(server.control)
            is_watched = False
    os.close(pidfd)
    _, status, usage = os.wait4(pid, 0)
    if is_owner_there:
        _tell(server.control, _report(status, usage, is_over=is_over))
    return is_owner_there


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
