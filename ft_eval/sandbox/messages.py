"""What the two ends of a container say to each other, over its standard input and output: a length, then JSON.

    owner → agent    {"run": …} a program and its calls      {"go": true | false} whether an answer was accepted
    agent → owner    {"walls", "versions"} once              {"answer": …}      {"result": …, "is_fit"}
                     {"error": …} instead of any of these: the infrastructure failed

Both ends are ours; the program in the box is behind one more wall and has neither pipe. Still nothing here is trusted
to be right: an answer is untrusted data like any other, and a message over the limit ends the conversation.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict
from typing import IO, Any

from ft_eval.sandbox.records import Answer, Calls, ExecutionResult, Limits, Outcome

MAX_BYTES = 1 << 30
_LENGTH = struct.Struct(">I")
Message = Mapping[str, Any]


class MessageError(ValueError):
    """Bytes that are no message, or the end in the middle of one."""


class MessageReader:
    """Cuts a byte stream into messages, for a reader that must not wait for the rest of one."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take more bytes in."""
        self._buffer += data

    def take(self) -> Message | None:
        """The next message that is here as a whole, or None. Raises MessageError."""
        if len(self._buffer) < _LENGTH.size:
            return None
        end = _LENGTH.size + _length(self._buffer)
        if len(self._buffer) < end:
            return None
        text = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return _parse(text)


def pack(message: Message) -> bytes:
    """The bytes of a message."""
    text = json.dumps(message).encode("ascii")
    return _LENGTH.pack(len(text)) + text


def write(pipe: IO[bytes], message: Message) -> None:
    """Send a message. Raises OSError when the other end is gone."""
    pipe.write(pack(message))
    pipe.flush()


def read(pipe: IO[bytes]) -> Message | None:
    """The next message, or None at the end. Raises MessageError."""
    head = pipe.read(_LENGTH.size)
    if not head:
        return None
    length = _length(head)
    text = pipe.read(length)
    if len(text) != length:
        raise MessageError("not a message")
    return _parse(text)


def _length(text: bytes | bytearray) -> int:
    """How long the message is that begins here."""
    if len(text) < _LENGTH.size or (length := int(_LENGTH.unpack_from(text)[0])) > MAX_BYTES:
        raise MessageError("not a message")
    return length


def _parse(text: bytes) -> Message:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessageError("not JSON") from error
    if not isinstance(message, dict):
        raise MessageError("not a message")
    return message


def from_calls(calls: Calls) -> Message:
    """A program and its calls, for `to_calls`."""
    return {**asdict(calls), "inputs": [text.decode("ascii") for text in calls.inputs]}


def to_calls(message: Message) -> Calls:
    """The inverse of `from_calls`."""
    fields = dict(message)
    fields["inputs"] = tuple(text.encode("ascii") for text in fields["inputs"])
    fields["reference_seconds"] = tuple(fields["reference_seconds"])
    fields["limits"] = Limits(**fields["limits"])
    return Calls(**fields)


def from_answer(answer: Answer) -> Message:
    """An answer, for `to_answer`."""
    return {**asdict(answer), "text": None if answer.text is None else answer.text.decode("latin-1")}


def to_answer(message: Message) -> Answer:
    """The inverse of `from_answer`. Raises TypeError, KeyError or UnicodeError for anything else."""
    text = message["text"]
    return Answer(**{**message, "text": None if text is None else text.encode("latin-1")})


def from_result(result: ExecutionResult) -> Message:
    """How a program ended, for `to_result`; without the answers, which went before it."""
    return {**asdict(result), "answers": []}


def to_result(message: Message) -> ExecutionResult:
    """The inverse of `from_result`. Raises TypeError, KeyError or ValueError for anything else."""
    return ExecutionResult(**{**message, "outcome": Outcome(message["outcome"]), "answers": ()})
