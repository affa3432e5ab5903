"""Frames on the answer pipe: a fixed head, then a body. Used on both sides of the wall; the reader trusts no byte.

    head  = length of the body (u32), kind (one byte), call index (u32), CPU microseconds (u64), big-endian
    kinds   R ready, before any foreign byte is read     A answer, body is a wire text     D digest, body is hexadecimal
            E the call raised, body is a type's name     X the program did not load, body is why and a type's name

A program shares its process with the writer, so it can write frames of its own. That gains it nothing: a frame can only
carry an answer, and answers are judged elsewhere.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

READY, ANSWER, DIGEST, RAISED, NOT_LOADED = b"R", b"A", b"D", b"E", b"X"
KINDS = frozenset({READY, ANSWER, DIGEST, RAISED, NOT_LOADED})

_HEAD = struct.Struct(">IcIQ")


class FrameError(ValueError):
    """Bytes that are no frames, or a frame over the limit."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message from the box."""

    kind: bytes
    index: int
    seconds: float
    body: bytes


def pack(kind: bytes, index: int = 0, seconds: float = 0.0, body: bytes = b"") -> bytes:
    """The bytes of a frame."""
    return _HEAD.pack(len(body), kind, index, max(0, int(seconds * 1e6))) + body


class FrameReader:
    """Cuts a byte stream into frames. `max_body_bytes` bounds one frame and so what is held of an unfinished one."""

    def __init__(self, max_body_bytes: int) -> None:
        self._buffer = bytearray()
        self._max_body_bytes = max_body_bytes

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames completed by these bytes. Raises FrameError at the first that can't be one."""
        self._buffer += data
        offset = 0
        try:
            while len(self._buffer) - offset >= _HEAD.size:
                length, kind, index, microseconds = _HEAD.unpack_from(self._buffer, offset)
                if kind not in KINDS or length > self._max_body_bytes:
                    raise FrameError("not a frame" if kind not in KINDS else "an answer over the limit")
                start = offset + _HEAD.size
                if len(self._buffer) - start < length:
                    break
                offset = start + length
                yield Frame(kind, index, microseconds / 1e6, bytes(self._buffer[start:offset]))
        finally:
            del self._buffer[:offset]
