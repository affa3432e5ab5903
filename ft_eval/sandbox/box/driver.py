"""Runs one program inside the box: load it, call it, send each answer the moment it exists.

It shares its process with foreign code and defends nothing: it holds no secret, and whatever foreign code does to it
ends as an answer, or as none. Functions of other modules that it needs afterwards, here and in what it imports, are
bound when they are imported, so that an honest program that shadows or breaks a module still gets its answers out. One
that breaks `builtins` itself does not.
"""

import builtins
import json
import os
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from time import process_time
from typing import Any

from ft_eval.sandbox import frames
from ft_eval.sandbox.box import long_digest
from ft_eval.sandbox.normal import normal_digest
from ft_eval.sandbox.wire import Tree, dumps, from_tree, to_tree, type_name

_MODULE = "solution"
_GENERIC = (BaseException,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One program and its calls, as they come over the wall."""

    program: str
    entry_point: str
    calls: tuple[Tree, ...]
    """Per call, the tree of the list of its arguments."""
    expand_iterators: bool
    digest_bytes: int

    @classmethod
    def load(cls, text: bytes, digest_bytes: int) -> "Job":
        """Parse the job's JSON (written by our own side, so trusted)."""
        job = json.loads(text)
        return cls(
            program=from_tree(job["program"]),
            entry_point=job["entry_point"],
            calls=tuple(job["calls"]),
            expand_iterators=job["expand_iterators"],
            digest_bytes=digest_bytes,
        )


def run(job: Job, answer_fd: int) -> None:
    """Load the program and answer every call on `answer_fd`. Never returns: the process ends here."""
    write, leave = _writer(answer_fd), os._exit
    write(frames.pack(frames.READY))
    function = _load(job, write)
    if function is not None:
        _answer_all(job, function, write)
    leave(0)


def _writer(descriptor: int) -> Callable[[bytes], None]:
    """A function that writes all of a frame, whatever the program does to `os`."""
    write_some = os.write

    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[write_some(descriptor, view) :]

    return write


def _load(job: Job, write: Callable[[bytes], None]) -> Callable[..., object] | None:
    """The entry point, or None when there is none to call; the outcome is then already written."""
    module = types.ModuleType(_MODULE)
    sys.modules[_MODULE] = module
    try:
        code = compile(job.program, f"<{_MODULE}>", "exec", dont_inherit=True)
    except _GENERIC as error:
        write(frames.pack(frames.NOT_LOADED, body=b"syntax " + _name(error)))
        return None
    try:
        builtins.exec(code, module.__dict__)  # noqa: S102 (the purpose of this package)
        function = module.__dict__.get(job.entry_point)
    except _GENERIC as error:
        write(frames.pack(frames.NOT_LOADED, body=b"load " + _name(error)))
        return None
    if function is None:
        write(frames.pack(frames.NOT_LOADED, body=b"entry_point"))
    return function


def _answer_all(job: Job, function: Callable[..., object], write: Callable[[bytes], None]) -> None:
    for index, call in enumerate(job.calls):
        arguments = from_tree(call)  # decoded anew for each call, so that none sees another's mutations
        start = process_time()
        try:
            kind, body = _encode_answer(function(*arguments), job)
        except _GENERIC as error:
            kind, body = frames.RAISED, _name(error)
        write(frames.pack(kind, index, process_time() - start, body))


def _encode_answer(value: Any, job: Job) -> tuple[bytes, bytes]:
    if long_digest.is_long(value, job.digest_bytes):
        return _digest_frame(value, long_digest.long_digest(value))
    tree = to_tree(value, expand_iterators=job.expand_iterators)
    text = dumps(tree).encode("ascii")
    if len(text) <= job.digest_bytes:
        return frames.ANSWER, text
    return _digest_frame(value, normal_digest(tree))


def _digest_frame(value: Any, digest: str | None) -> tuple[bytes, bytes]:
    kind = "floats" if _is_floats(value) else "other"
    return frames.DIGEST, f"{kind} {digest or 'equals nothing'}".encode("ascii")


def _is_floats(value: Any) -> bool:
    if isinstance(value, list | tuple) and value:
        return isinstance(value[0], float) and all(issubclass(kind, float) for kind in set(map(type, value)))
    return isinstance(value, float)


def _name(error: BaseException) -> bytes:
    return type_name(type(error)).encode("ascii")
