"""The docker tier's near side: a container per worker, and what it is told over standard input and output.

No folder of this machine is mounted and no variable of its environment is passed: the sandbox's own code goes in as an
archive with the first bytes. So it works with a daemon on another machine or in a virtual one (macOS), and whoever
holds the container finds no expected value in it. Every failure raises ServerError; the sandbox decides what then.
"""

import contextlib
import io
import os
import secrets
import selectors
import shutil
import subprocess
import tempfile
import time
import zipfile
from pathlib import Path
from typing import NoReturn

from ft_eval.sandbox import messages
from ft_eval.sandbox.execution import Judge
from ft_eval.sandbox.records import Calls, ExecutionResult, Outcome
from ft_eval.sandbox.server import ServerError

IMAGE = "ft-eval-box"
_IMAGE_VARIABLE = "FT_EVAL_DOCKER_IMAGE"
_START_SECONDS = 120.0
_SPARE_SECONDS = 120.0
_PATIENCE = 10.0
"""Times what a program may take at most: then the container is broken, and not slow."""
_END_SECONDS = 5.0
_READ_BYTES = 1 << 18
_REMOVE_SECONDS = 30.0
_PACKAGE = Path(__file__).resolve().parents[1]
_BOOT = (
    "import sys; pipe = sys.stdin.buffer; path = '/run/ft-eval/code.zip'; "
    "open(path, 'wb').write(pipe.read(int.from_bytes(pipe.read(4), 'big'))); sys.path.insert(0, path); "
    "from ft_eval.sandbox.agent import main; main()"
)


def image() -> str:
    """The image that containers are made of."""
    return os.environ.get(_IMAGE_VARIABLE) or IMAGE


def command(docker: str, name: str) -> list[str]:
    """Docker's command line. Nothing is pulled, mounted or passed on."""
    walls = {
        "--network": "none",
        "--cap-drop": "ALL",
        "--security-opt": "no-new-privileges",
        "--user": "65534:65534",
        "--ipc": "none",
        "--hostname": "box",
        "--pids-limit": "4096",  # more than a burst of threads makes before somebody looks: then that is what is said
        "--memory": "8g",
        "--memory-swap": "8g",
        "--ulimit": "core=0",
    }
    return [
        *(docker, "run", "--rm", "--interactive", "--name", name, "--label", "ft-eval", "--pull", "never"),
        *(word for pair in walls.items() for word in pair),
        *("--read-only", "--tmpfs", "/tmp:rw,nosuid,nodev,noexec,size=256m,mode=1777"),  # noqa: S108 (the container's)
        *("--tmpfs", "/run/ft-eval:rw,nosuid,nodev,noexec,size=4m,mode=1777"),
        *("--log-driver", "none", "--env", "PYTHONHASHSEED=0", "--workdir", "/"),
        *("--entrypoint", "python3", image(), "-I", "-B", "-c", _BOOT),
    ]


class ContainerServer:
    """One container with its agent. Raises ServerError when it can't be had, or is not what was asked for."""

    def __init__(self) -> None:
        docker = shutil.which("docker")
        if docker is None:
            raise ServerError("there is no docker on the PATH")
        self._docker, self._name = docker, f"ft-eval-box-{os.getpid()}-{secrets.token_hex(4)}"
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        self._process = subprocess.Popen(  # noqa: S603 (docker, and our own text)
            command(docker, self._name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,  # Ctrl-C is for us; we end the container
        )
        assert self._process.stdin is not None, "a pipe was asked for"
        assert self._process.stdout is not None, "a pipe was asked for"
        self._to, self._from = self._process.stdin, self._process.stdout
        os.set_blocking(self._to.fileno(), False)  # a container that reads nothing must not hold us
        self._said = messages.MessageReader()
        try:
            self._send_code()
            hello = self._receive(_START_SECONDS)
            self.walls, self.versions = str(hello["walls"]), str(hello["versions"])
        except BaseException:
            self.close()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether the container still runs."""
        return self._process.poll() is None

    def run(self, calls: Calls, judge: Judge) -> tuple[ExecutionResult, bool]:
        """As `execution.execute`: the result, and whether the container is fit for another program."""
        seconds = _SPARE_SECONDS + _PATIENCE * _longest_seconds(calls)
        self._tell({"run": messages.from_calls(calls)})
        num_answers = num_right = 0
        while True:
            message = self._receive(seconds)
            try:
                if "result" in message:
                    return _checked(messages.to_result(message["result"]), calls, num_right), message["is_fit"] is True
                answer = messages.to_answer(message["answer"])
            except (TypeError, KeyError, ValueError) as error:
                raise ServerError(f"the container said what it never says: {error}") from error
            if answer.index != num_answers or num_answers >= len(calls.inputs):
                raise ServerError(f"the container answered call {answer.index} where {num_answers} was due")
            num_answers += 1
            is_right = judge(answer)
            num_right += is_right
            self._tell({"go": is_right})

    def kill(self) -> None:
        """End it now; whoever talks to it finds it gone. `close` it all the same."""
        self._process.kill()  # the agent ends with its input

    def close(self) -> None:
        """End the container and remove it. Safe to call twice."""
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._remove()
        self._stderr.close()

    def abandon(self) -> None:
        """Let go of it in a forked process that does not own it."""
        os.close(self._to.fileno())

    def _send_code(self) -> None:
        code = archive()
        self._send(len(code).to_bytes(4, "big") + code, "the container did not start")

    def _tell(self, message: messages.Message) -> None:
        self._send(messages.pack(message), "the container is gone")

    def _send(self, data: bytes, if_it_ends: str) -> None:
        left, until = memoryview(data), time.monotonic() + _START_SECONDS
        with selectors.PollSelector() as selector:  # takes no descriptor
            selector.register(self._to, selectors.EVENT_WRITE)
            while left:
                if not selector.select(max(0.0, until - time.monotonic())):
                    raise ServerError(f"the container read nothing for {_START_SECONDS:.0f} s")
                try:
                    left = left[os.write(self._to.fileno(), left) :]
                except OSError:
                    self._fail(if_it_ends)

    def _receive(self, seconds: float) -> messages.Message:
        try:
            message = self._wait(seconds)
        except (messages.MessageError, OSError) as error:
            raise ServerError(f"the container does not speak as it should: {error}") from error
        if "error" in message:
            raise ServerError(str(message["error"]))
        return message

    def _wait(self, seconds: float) -> messages.Message:
        until = time.monotonic() + seconds
        with selectors.PollSelector() as selector:
            selector.register(self._from, selectors.EVENT_READ)
            while (message := self._said.take()) is None:
                if not selector.select(max(0.0, until - time.monotonic())):
                    raise ServerError(f"the container said nothing for {seconds:.0f} s")
                data = os.read(self._from.fileno(), _READ_BYTES)
                if not data:
                    self._fail("the container ended")
                self._said.feed(data)
        return message

    def _fail(self, what: str) -> NoReturn:
        """With what docker said last."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        size = os.fstat(self._stderr.fileno()).st_size
        self._stderr.seek(max(0, size - 2000))
        lines = [line for line in self._stderr.read().decode("utf-8", "replace").splitlines() if line.strip()]
        said = next(
            (line for line in lines if "docker: " in line or "Error" in line), lines[-1] if lines else "nothing"
        )
        raise ServerError(f"{what}: {said.strip()[:300]}{_advice(said)}")

    def _remove(self) -> None:
        """For a container that outlives its client."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(  # noqa: S603 (as above)
                [self._docker, "rm", "--force", self._name],
                check=False,
                timeout=_REMOVE_SECONDS,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )


def archive() -> bytes:
    """The sandbox's own code, as an archive that Python imports from."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as file:
        for path in (_PACKAGE / "__init__.py", _PACKAGE / "errors.py", *sorted((_PACKAGE / "sandbox").rglob("*.py"))):
            file.write(path, path.relative_to(_PACKAGE.parent))
    return found.getvalue()


def _checked(result: ExecutionResult, calls: Calls, num_right: int) -> ExecutionResult:
    """The result, unless it claims more than was seen: a program there may have spoken in the agent's place."""
    if result.outcome is Outcome.PASSED and num_right != len(calls.inputs):
        raise ServerError(f"the container says that a program passed of whose answers {num_right} were right")
    return result


def _longest_seconds(calls: Calls) -> float:
    limits = calls.limits
    total = max(limits.total_seconds, limits.reference_factor * sum(calls.reference_seconds))
    return limits.wall_factor * total


def _advice(said: str) -> str:
    if "Unable to find image" in said or "No such image" in said:
        return f"; make it with `docker build -t {image()} {_PACKAGE / 'sandbox' / 'image'}`"
    return ""
