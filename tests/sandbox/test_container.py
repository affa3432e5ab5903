"""The docker tier: what docker is told, what is checked inside, and what is said when something is missing.

Taken through a stand-in, which builds with bubblewrap what docker's command line asks for; see conftest.
"""

import io
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ft_eval.errors import SandboxError
from ft_eval.sandbox import container, messages
from ft_eval.sandbox.records import Answer, Calls, ExecutionResult, Limits, Outcome, SandboxSettings
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.server import ServerError
from tests.sandbox.cheats import FORGERIES
from tests.sandbox.corpus import INPUTS, is_double

GOOD = Calls(program="def solve(x):\n    return 2 * x", entry_point="solve", inputs=INPUTS)

ODD = Calls(
    program="'\ud800'",
    entry_point="f",
    inputs=(b"[1]",),
    limits=Limits(call_seconds=1.5),
    reference_seconds=(0.25,),
)


@pytest.fixture
def docker(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in in docker's place."""
    if shutil.which("bwrap") is None:
        pytest.skip("no bubblewrap here, which the stand-in for docker is made of")
    monkeypatch.setenv("PATH", f"{stand_in}:{os.environ['PATH']}")


def opened() -> Sandbox:
    return Sandbox(SandboxSettings(tier="docker"))


def test_docker_is_told_every_wall_and_given_nothing_of_this_machine() -> None:
    words = container.command("docker", "name")
    told = set(pairwise(words))
    assert told >= {
        ("--network", "none"),
        ("--cap-drop", "ALL"),
        ("--security-opt", "no-new-privileges"),
        ("--user", "65534:65534"),
        ("--pids-limit", "4096"),
        ("--pull", "never"),
    }
    assert {"--read-only", "--rm"} <= set(words)
    assert not {"-v", "--volume", "--mount", "--privileged", "--env-file", "--pid", "-p", "--publish"} & set(words)
    assert not any(str(Path.home()) in word for word in words if word != words[-1])


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--network", "the container has a network"),
        ("--read-only", "the container can write to its root"),
        ("--cap-drop", "the container has capabilities"),
        ("--user", "the container runs as root"),
    ],
)
def test_a_wall_that_docker_left_out_is_noticed_and_nothing_is_run(
    docker: None, monkeypatch: pytest.MonkeyPatch, option: str, said: str
) -> None:
    monkeypatch.setenv("STAND_IN_IGNORES", option)
    with pytest.raises(SandboxError, match=said), opened():
        pass


def test_an_image_that_is_not_there_is_named_with_what_makes_it(docker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FT_EVAL_DOCKER_IMAGE", "another")
    with pytest.raises(SandboxError, match=r"No such image: another.*docker build -t another .*image"), opened():
        pass


def test_elsewhere_than_on_linux_docker_is_taken(docker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with Sandbox() as sandbox:
        assert sandbox.description.startswith("docker: container")
        assert sandbox.run_calls(GOOD, is_double).outcome is Outcome.PASSED


def test_a_container_that_dies_is_replaced(docker: None) -> None:
    with opened() as sandbox:
        assert sandbox._server is not None
        sandbox._server.kill()
        assert sandbox.run_calls(GOOD, is_double).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("time.sleep(600)", "read nothing"),
        ("sys.stdin.buffer.read(); time.sleep(600)", "said nothing"),
        ("os.write(1, bytes(2)); sys.stdin.buffer.read(); time.sleep(600)", "said nothing"),
        ("os.write(1, bytes([0, 0, 0, 9]) + b'{}'); sys.stdin.buffer.read(); time.sleep(600)", "said nothing"),
    ],
)
def test_a_container_that_reads_or_says_nothing_is_given_up(
    docker: None, monkeypatch: pytest.MonkeyPatch, does: str, said: str
) -> None:
    monkeypatch.setattr(container, "_BOOT", f"import os, sys, time; {does}")
    monkeypatch.setattr(container, "archive", lambda: bytes(1 << 20))
    monkeypatch.setattr(container, "_START_SECONDS", 0.5)
    monkeypatch.setattr(container, "_END_SECONDS", 0.2)
    start = time.monotonic()
    with pytest.raises(SandboxError, match=f"the container {said} for 0 s"), opened():
        pass
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    "said", ["print('hello')", "import os; os.write(1, b'\\0\\0\\0\\2[]')", "raise SystemExit('no luck')"]
)
def test_a_container_that_says_something_else_is_no_verdict(
    docker: None, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(container, "_BOOT", said)
    with pytest.raises(SandboxError, match="the container"), opened():
        pass


def _archive_without_landlock(archive: Callable[[], bytes]) -> bytes:
    """The sandbox's code as it is where the kernel has no Landlock."""
    found, module = io.BytesIO(), "ft_eval/sandbox/box/landlock.py"
    with zipfile.ZipFile(io.BytesIO(archive())) as whole, zipfile.ZipFile(found, "w") as changed:
        for name in whole.namelist():
            text = whole.read(name) + (b"\ndef abi():\n    return 0\n" if name == module else b"")
            changed.writestr(name, text)
    return found.getvalue()


@pytest.fixture
def no_landlock(docker: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A container on such a kernel: what is in its /proc may be seen."""
    whole = container.archive
    monkeypatch.setattr(container, "archive", lambda: _archive_without_landlock(whole))
    with opened() as sandbox:
        assert "landlock" not in sandbox.description
        yield sandbox


def test_without_landlock_no_program_speaks_in_its_owners_place(no_landlock: Sandbox) -> None:
    program = FORGERIES["tells the container's owner that it passed"]
    result = no_landlock.run_calls(Calls(program=program, entry_point="solve", inputs=INPUTS), is_double)
    assert result.outcome is Outcome.FAILED
    assert no_landlock.run_calls(GOOD, is_double).outcome is Outcome.PASSED


@pytest.mark.parametrize("part", ["mem", "fd/0", "fd/1", "environ", "maps"])
def test_without_landlock_no_program_gets_into_the_processes_that_run_it(no_landlock: Sandbox, part: str) -> None:
    program = f"""
import os
def solve(_):
    found = []
    for number in os.listdir('/proc'):
        if number.isdigit() and int(number) != os.getpid():
            try:
                path = '/proc/' + number + '/{part}'
                os.readlink(path) if os.path.islink(path) else open(path).close()
                found.append(number)
            except OSError:
                pass
    return found
"""
    calls = Calls(program=program, entry_point="solve", inputs=INPUTS[:1])
    assert no_landlock.run_calls(calls).answers[0].text == b'["l"]'


def test_a_container_that_claims_more_than_was_seen_is_no_verdict(
    docker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = {"outcome": "passed", "detail": "", "num_answers": 1, "answers": [], "seconds": 0.1, "cpu_seconds": 0.1}
    result = {"result": {**claim, "peak_memory_bytes": 1}, "is_fit": True}
    monkeypatch.setattr(container, "_BOOT", _boot_that_says(_framed(result)))
    with pytest.raises(SandboxError, match="a program passed of whose answers 0 were right"), opened():
        pass


@pytest.mark.parametrize("indices", [(0, 0), (1,), (0, 1, 2, 3, 4, 5, 6, 7)])
def test_a_container_answers_each_call_once_and_in_order(
    docker: None, monkeypatch: pytest.MonkeyPatch, indices: tuple[int, ...]
) -> None:
    assert len(INPUTS) < 8
    answers = [{"answer": messages.from_answer(Answer(index=index, text=b"2"))} for index in indices]
    monkeypatch.setattr(container, "_BOOT", _boot_that_says(b"".join(map(_framed, answers))))
    server = container.ContainerServer()
    try:
        with pytest.raises(ServerError, match="answered call"):
            server.run(GOOD, lambda _: True)
    finally:
        server.close()


def test_a_container_that_says_two_things_at_once_is_heard_at_once(
    docker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"answer": messages.from_answer(Answer(index=0, text=b"2"))}
    result = {"result": messages.from_result(ExecutionResult(outcome=Outcome.TIMED_OUT)), "is_fit": True}
    monkeypatch.setattr(container, "_BOOT", _boot_that_says(_framed(answer) + _framed(result)))
    server = container.ContainerServer()
    try:
        heard = ThreadPoolExecutor(1).submit(server.run, GOOD, is_double)
        assert heard.result(timeout=20.0) == (ExecutionResult(outcome=Outcome.TIMED_OUT), True)
    finally:
        server.close()


def _boot_that_says(reply: bytes) -> str:
    """A container's program that answers the first job with these bytes, and then reads whatever comes."""
    hello = _framed({"walls": "w", "versions": "v"})
    take = "take = lambda: pipe.read(int.from_bytes(pipe.read(4), 'big')); take()"
    say = f"os.write(1, {hello!r}); take(); os.write(1, {reply!r}); pipe.read()"
    return f"import os, sys; pipe = sys.stdin.buffer; {take}; {say}"


def _framed(message: messages.Message) -> bytes:
    pipe = io.BytesIO()
    messages.write(pipe, message)
    return pipe.getvalue()


def test_the_archive_holds_the_sandbox_and_no_task() -> None:
    names = zipfile.ZipFile(io.BytesIO(container.archive())).namelist()
    assert "ft_eval/sandbox/agent.py" in names
    assert all(name in ("ft_eval/__init__.py", "ft_eval/errors.py") or "/sandbox/" in name for name in names)


@pytest.mark.parametrize(
    ("there", "back", "thing"),
    [
        (messages.from_calls, messages.to_calls, GOOD),
        (messages.from_calls, messages.to_calls, ODD),
        (messages.from_answer, messages.to_answer, Answer(index=3, text=b'["l",1]', seconds=0.5)),
        (messages.from_answer, messages.to_answer, Answer(index=0, text=b"\xff garbage")),
        (messages.from_answer, messages.to_answer, Answer(index=0, digest="0" * 64, is_floats=True)),
        (messages.from_result, messages.to_result, ExecutionResult(outcome=Outcome.TIMED_OUT, detail="call 1")),
    ],
)
def test_messages_arrive_as_they_were_sent(there: Callable[..., Any], back: Callable[..., Any], thing: object) -> None:
    pipe = io.BytesIO()
    messages.write(pipe, there(thing))
    pipe.seek(0)
    message = messages.read(pipe)
    assert message is not None
    assert back(message) == thing
    assert messages.read(pipe) is None
    reader = messages.MessageReader()
    for byte in pipe.getvalue():
        assert reader.take() is None
        reader.feed(bytes([byte]))
    assert reader.take() == message
    assert reader.take() is None


DEEP = (100_000).to_bytes(4, "big") + b"[" * 100_000


@pytest.mark.parametrize("text", [b"\0", b"\0\0\0\5{}", b"\xff\xff\xff\xff{}", b"\0\0\0\2[]", b"\0\0\0\1{", DEEP])
def test_what_is_no_message_is_refused(text: bytes) -> None:
    with pytest.raises(messages.MessageError):
        messages.read(io.BytesIO(text))
