"""What the programs of the corpus are run with, and what none of them may change."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ft_eval.sandbox.normal import normal_text
from ft_eval.sandbox.records import MEBIBYTE, Answer, Limits
from ft_eval.sandbox.wire import encode, parse

ROOT = Path(__file__).resolve().parents[2]
INPUTS = tuple(encode([x]) for x in (1, 2, 3))
LIMITS = Limits(
    call_seconds=0.4,
    load_seconds=0.4,
    total_seconds=2.0,
    memory_bytes=1024 * MEBIBYTE,
    scratch_bytes=32 * MEBIBYTE,
    output_bytes=4 * MEBIBYTE,
)
FOLLOWER = """
import os
def solve(x):
    found = os.listdir('.')
    with open('mine', 'w') as file:
        file.write('1')
    with open('mine') as file:
        mine = file.read()
    os.unlink('mine')
    return 2 * x if found == [] and mine == '1' else 0
"""


def is_double(answer: Answer) -> bool:
    return answer.text is not None and normal_text(parse(answer.text)) == str(2 * (answer.index + 1))


@contextmanager
def outside_places() -> Iterator[dict[str, object]]:
    """A world-writable folder with a secret outside the box, and a port that listens."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        Path(folder).chmod(0o777)
        places = {"folder": folder, "secret": f"{folder}/token", "project": str(ROOT)}
        yield {**places, "owner": os.getpid(), "port": server.getsockname()[1]}


def lay_out(outside: dict[str, object]) -> None:
    """The secret as it is before every program."""
    secret = Path(str(outside["secret"]))
    secret.write_text("secret")
    secret.chmod(0o666)
    with contextlib.suppress(OSError):  # a file system without attributes
        os.setxattr(secret, "user.token", b"secret")


def state(outside: dict[str, object]) -> object:
    """What a program must not change: the secret, its mode and times, the folder, the standard library."""
    secret, folder = Path(str(outside["secret"])), Path(str(outside["folder"]))
    found = secret.stat()
    return (
        secret.read_text(),
        found.st_mode,
        found.st_mtime_ns,
        found.st_nlink,
        sorted(path.name for path in folder.iterdir()),
        Path(os.__file__).read_bytes(),
    )
