"""The near side of the fork server: start it, hand it a job, be told how the job ended, end it.

Every failure here is the infrastructure's and raises ServerError; the sandbox decides whether to try again. Knows no
deadline and judges no answer.
"""

import contextlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ft_eval.sandbox import bubblewrap
from ft_eval.sandbox.box import scratch
from ft_eval.sandbox.box.config import UNPRIVILEGED_ID, ChildLimits, ServerConfig
from ft_eval.sandbox.box.held import process_id
from ft_eval.sandbox.box.view import NUMPY_PARENT

_START_SECONDS = 60.0
_REPLY_SECONDS = 60.0
_NUMPY_VERSION = re.compile(r'^version = "([^"]+)"', re.MULTILINE)
_NUMPY_INFO = re.compile(r"numpy-([^-]+)(?:-py[0-9.]+)?\.(?:dist|egg)-info")
_NUM_REMOVALS = 50
_REMOVAL_PAUSE_SECONDS = 0.02
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); from ft_eval.sandbox.box.start import main; "
    "del sys.path[0]; main(sys.argv[2])"
)
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",  # sets iterate in the same order in every run
    "LD_BIND_NOW": "1",  # once in the server, and not in each program that it forks
}


class ServerError(Exception):
    """The fork server did not start, did not answer, or died. One line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A program under way."""

    pid: int
    pidfd: int
    answers_fd: int
    """The read end of the answer pipe."""

    def kill(self) -> None:
        """End it now; one that has ended stays ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Let go of both descriptors."""
        os.close(self.pidfd)
        os.close(self.answers_fd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a child ended, as its server saw it."""

    status: int
    """Exit status, or minus the signal that ended it."""
    cpu_seconds: float
    peak_memory_bytes: int
    over_scratch: bool


class BoxServer:
    """One fork server process. Raises ServerError when it can't be started in this tier."""

    def __init__(self, tier: str) -> None:
        self._tier, self._pidfd, self._numpy_parent = tier, -1, _numpy_parent()
        with ExitStack() as unless_all:
            self._stderr = os.memfd_create("ft-eval-box-stderr")
            unless_all.callback(os.close, self._stderr)
            self._work_dir = _make_work_dir()
            unless_all.callback(_remove_tree, self._work_dir)
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            unless_all.pop_all()
        try:
            with theirs:
                self._process = self._spawn(theirs.fileno())
            hello, (self._pidfd,) = self._receive_with_descriptor(_START_SECONDS)
            self.versions = f"python {hello['python']}, {_numpy_version(self._numpy_parent)}"
        except BaseException:
            self.close()
            raise
        self.walls: str = hello["walls"]
        if tier in {"ns", "bwrap"}:
            Path(self._work_dir).rmdir()  # it was the place to build the root on; the root has moved

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def start(self, job: bytes, limits: ChildLimits) -> Child:
        """Fork a child for a job. Raises ServerError."""
        opened: list[int] = []
        try:
            child = self._start(job, limits, opened)
        except BaseException as error:
            for descriptor in opened:
                os.close(descriptor)
            if isinstance(error, OSError):
                raise ServerError(f"no program can be started: {error}; {self._last_words()}") from error
            raise
        for descriptor in set(opened) - {child.pidfd, child.answers_fd}:
            os.close(descriptor)
        return child

    def _start(self, job: bytes, limits: ChildLimits, opened: list[int]) -> Child:
        """As `start`; what is opened is added to the list, and left open."""
        opened.extend(os.pipe())
        answers, their_answers = opened
        opened.append(os.memfd_create("ft-eval-job"))
        _write_all(opened[-1], job)
        socket.send_fds(self._control, [limits.dump()], [opened[-1], their_answers])
        message, (pidfd,) = self._receive_with_descriptor(_REPLY_SECONDS)
        opened.append(pidfd)
        pid = message["pid"] if self._tier == "ns" else process_id(pidfd)
        return Child(pid=pid, pidfd=pidfd, answers_fd=answers)

    def finish(self) -> Report:
        """Wait for the child that has ended or been killed. Raises ServerError."""
        return Report(**self._receive(_REPLY_SECONDS))

    def last_words(self) -> str:
        """What the server or a child said on stderr last, one line, bounded."""
        return self._last_words()

    def kill(self) -> None:
        """End the process and with it any child; whoever talks to the server finds it gone. `close` it all the same."""
        if self._pidfd >= 0:  # the server itself, and not only what runs it
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._process.kill()

    def close(self) -> None:
        """End the server and with it any child, and remove its folder. Safe to call twice."""
        process = getattr(self, "_process", None)
        if process is not None and process.poll() is None:
            self.kill()
            process.wait()
        self._control.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if self._stderr >= 0:
            os.close(self._stderr)
            self._stderr = -1
        _remove_tree(self._work_dir)

    def abandon(self) -> None:
        """Let go of the server in a forked process that does not own it."""
        self._control.close()

    def _spawn(self, control_fd: int) -> subprocess.Popen[bytes]:
        command = self._command(control_fd)
        environment = dict(_ENVIRONMENT)
        if "LD_LIBRARY_PATH" in os.environ:  # some Pythons can't start without it
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        return subprocess.Popen(  # noqa: S603 (our own interpreter and our own text)
            command,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            pass_fds=(control_fd,),
            start_new_session=True,  # Ctrl-C is for us; we end the server
        )

    def _command(self, control_fd: int) -> list[str]:
        """The interpreter and what it is told; in bubblewrap's walls where that is the tier."""
        numpy_parent, flags = self._numpy_parent, ["-s", "-P", "-S", "-B", "-c", _BOOT]
        if self._tier != "bwrap":
            config = ServerConfig(
                tier=self._tier, control_fd=control_fd, work_dir=self._work_dir, numpy_parent=numpy_parent
            )
            return [sys.executable, *flags, str(_PACKAGE_ROOT), config.dump()]
        bwrap = bubblewrap.program()
        if bwrap is None:
            raise ServerError("there is no bwrap on the PATH; install bubblewrap")
        config = ServerConfig(
            tier=self._tier,
            control_fd=control_fd,
            work_dir=bubblewrap.WORK_DIR,
            numpy_parent=NUMPY_PARENT if numpy_parent else "",
        )
        return [*bubblewrap.command(bwrap, numpy_parent), *flags, bubblewrap.CODE_ROOT, config.dump()]

    def _receive(self, seconds: float) -> dict[str, Any]:
        self._control.settimeout(seconds)
        try:
            text = self._control.recv(1 << 16)
        except OSError as error:
            raise ServerError(f"the box server does not answer: {error}; {self._last_words()}") from error
        return self._message(text)

    def _receive_with_descriptor(self, seconds: float) -> tuple[dict[str, Any], list[int]]:
        self._control.settimeout(seconds)
        try:
            text, descriptors, _, _ = socket.recv_fds(self._control, 1 << 16, 1)
        except OSError as error:
            raise ServerError(f"the box server does not answer: {error}; {self._last_words()}") from error
        message = self._message(text)
        if len(descriptors) != 1:
            raise ServerError("the box server sent no process descriptor")
        return message, descriptors

    def _message(self, text: bytes) -> dict[str, Any]:
        if not text:
            raise ServerError(f"the box server ended: {self._last_words()}")
        message: dict[str, Any] = json.loads(text)
        if "error" in message:
            raise ServerError(str(message["error"]))
        return message

    def _last_words(self) -> str:
        size = os.fstat(self._stderr).st_size
        text = os.pread(self._stderr, 2000, max(0, size - 2000)).decode("utf-8", "replace").strip()
        return text.splitlines()[-1][:300] if text else "it said nothing"


def _make_work_dir() -> str:
    """A fresh folder. Root's goes where the unprivileged user can get to it, whatever TMPDIR says."""
    if os.geteuid() != 0:
        return tempfile.mkdtemp(prefix="ft-eval-box-")
    path = tempfile.mkdtemp(prefix="ft-eval-box-", dir="/tmp" if Path("/tmp").is_dir() else None)  # noqa: S108
    os.chown(path, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    return path


def _remove_tree(path: str) -> None:
    """Remove the server's folder. A child that was killed a moment ago may still be writing, so keep at it a while."""
    for _ in range(_NUM_REMOVALS):
        if not Path(path).is_dir():
            return
        with contextlib.suppress(OSError):
            Path(path).rmdir()  # an empty one goes without a descriptor
            return
        with contextlib.suppress(OSError):
            scratch.empty(path)
            Path(path).rmdir()
            return
        time.sleep(_REMOVAL_PAUSE_SECONDS)


def _numpy_parent() -> str:
    """The folder NumPy would be imported from, without importing it; empty when there is none."""
    spec = importlib.util.find_spec("numpy")
    return "" if spec is None or spec.origin is None else str(Path(spec.origin).resolve().parents[1])


def _numpy_version(parent: str) -> str:
    """The version of the NumPy in a folder, in words, read from files and without importing it."""
    if not parent:
        return "no numpy"
    found = _NUMPY_VERSION.search(Path(parent, "numpy", "version.py").read_text(encoding="utf-8"))
    if found is None:  # older ones work it out
        names = (path.name for path in Path(parent).iterdir())
        found = next(filter(None, map(_NUMPY_INFO.fullmatch, names)), None)
    return f"numpy {found[1]}" if found else "numpy of an unknown version"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
