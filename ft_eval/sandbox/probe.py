"""Finds out what a box holds by trying: small programs that attempt what must fail, and one that must succeed.

A tier is used only when every canary ends as it should, so a kernel that grants a call and ignores it is noticed.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ft_eval.sandbox.boxes import Box
from ft_eval.sandbox.records import MEBIBYTE, Answer, Calls, Limits, Outcome, Tier
from ft_eval.sandbox.server import ServerError
from ft_eval.sandbox.wire import WireError, encode, from_tree, parse

_LIMITS = Limits(memory_bytes=1024 * MEBIBYTE, total_seconds=20.0)
_ATTEMPT = """
def attempt(argument):
    try:
        {body}
    except (OSError, MemoryError) as error:
        return "refused"
    return "done"
"""
_HONEST = """
import sched, tempfile
def attempt(argument):
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * argument)
        file.seek(0)
        return len(file.read()) + (sched.scheduler is not None)
"""
_SIGNAL = "import os; os.kill(argument + (argument == os.getpid()), 0)"
"""A box with process ids of its own may have the owner's number itself: then the next one is tried."""
_ENVIRONMENT = "def attempt(argument):\n    import os\n    return ' '.join(sorted(os.environ))\n"
_ALLOWED_NAMES = {"HOME", "LANG", "PATH", "TMPDIR", "TZ"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Canary:
    name: str
    program: str
    argument: object
    is_right: Callable[[object], bool]


def probe(box: Box, tier: Tier) -> str:
    """Run all canaries. Returns one line such as `probe 9/9`. Raises ServerError that names those that sang."""
    with _secret_file() as secret:
        canaries = _canaries(secret, tier)
        failed = [canary.name for canary in canaries if not _is_right(box, canary)]
        if Path(secret).read_text(encoding="ascii") != _CONTENT:
            failed.append("a file was written")
    if failed:
        raise ServerError(f"probe: {', '.join(failed)}")
    return f"probe {len(canaries)}/{len(canaries)}"


_CONTENT = "canary"


def _canaries(secret: str, tier: Tier) -> list[_Canary]:
    honest = _Canary(name="an honest program failed", program=_HONEST, argument=41, is_right=lambda got: got == 42)
    if tier is Tier.NONE:
        return [honest]
    return [
        honest,
        _refused("a file was read", "open(argument).read()", secret),
        _refused("a file in the home folder was read", "open(argument).read()", _a_file_at_home() or secret),
        _Canary(  # a box with a /tmp of its own lets it write there: what counts is the file outside
            name="a write ended the program",
            program=_ATTEMPT.format(body="open(argument, 'w').write('changed')"),
            argument=secret,
            is_right=lambda got: got in {"refused", "done"},
        ),
        _refused("a socket was opened", "import socket; socket.socket(argument)", 2),
        _refused("a process was started", "import os; os.fork()", 0),
        _refused("the parent was signalled", _SIGNAL, os.getpid()),
        _refused("too much memory was had", "bytearray(argument)", _LIMITS.memory_bytes),
        _Canary(
            name="the environment was seen",
            program=_ENVIRONMENT,
            argument=0,
            is_right=lambda got: isinstance(got, str) and set(got.split()) <= _ALLOWED_NAMES,
        ),
    ]


def _refused(name: str, body: str, argument: object) -> _Canary:
    program = _ATTEMPT.format(body=body)
    return _Canary(name=name, program=program, argument=argument, is_right=lambda got: got == "refused")


def _is_right(box: Box, canary: _Canary) -> bool:
    got: list[object] = []

    def keep(answer: Answer) -> bool:
        with contextlib.suppress(WireError):
            got.append(from_tree(parse(answer.text or b"")))
        return True

    inputs = (encode([canary.argument]),)
    calls = Calls(program=canary.program, entry_point="attempt", inputs=inputs, limits=_LIMITS)
    result, is_fit = box.run(calls, keep)
    if not is_fit:
        raise ServerError("the box server died")
    return result.outcome is Outcome.PASSED and len(got) == 1 and canary.is_right(got[0])


@contextlib.contextmanager
def _secret_file() -> Iterator[str]:
    """A file that anyone on this machine may read and write, outside the box."""
    descriptor, path = tempfile.mkstemp(prefix="ft-eval-canary-")
    try:
        os.fchmod(descriptor, 0o666)
        os.write(descriptor, _CONTENT.encode("ascii"))
        os.close(descriptor)
        yield path
    finally:
        Path(path).unlink()


def _a_file_at_home() -> str | None:
    """Some plain file directly in the user's home folder."""
    try:
        with os.scandir(Path.home()) as entries:
            return next((entry.path for entry in entries if entry.is_file()), None)
    except (OSError, RuntimeError):
        return None
