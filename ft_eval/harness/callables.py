"""What stands for a callable in a digest: its source, its arguments and its state, never where it lies in memory.

An address is another one in every process; a digest over it would make another job of the same task each time.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from inspect import getsource
from typing import Any

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_MAX_DEPTH = 8  # of what an instance holds, which may be itself


def stands_for(value: Any) -> Any:
    """What JSON has no form for, as something that it has one for and that is the same in every process.

    A `functools.partial` is the source of its function with its arguments, another instance that can be called the
    source of its class with its state; what has no source is its text.
    """
    return _plain(value, 0)


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if depth > _MAX_DEPTH:
        return type(value).__name__
    if isinstance(value, Mapping):
        return {str(_plain(name, depth + 1)): _plain(held, depth + 1) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held, depth + 1) for held in value]
    if isinstance(value, set | frozenset):
        return sorted(str(_plain(held, depth + 1)) for held in value)
    return _of_callable(value, depth) if callable(value) else _of_other(value, depth)


def _of_callable(value: Any, depth: int) -> Any:
    if isinstance(value, partial):
        return [_plain(part, depth + 1) for part in (value.func, value.args, value.keywords)]
    source = _source(value)
    if source is not None:
        return source
    made_by = _source(type(value))
    return _text(value) if made_by is None else [made_by, _plain(dict(_state(value)), depth)]


def _of_other(value: Any, depth: int) -> Any:
    """A dataclass by its fields, as lm-eval keeps few-shot settings; all else by its text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name), depth + 1) for one in fields(value)}
    return _text(value)


def _source(value: Any) -> str | None:
    try:
        return getsource(value)
    except (TypeError, OSError):
        return None


def _state(value: Any) -> Iterator[tuple[str, Any]]:
    """What an instance holds, by name; what its class keeps in slots, too."""
    yield from getattr(value, "__dict__", {}).items()
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name) and name != "__dict__":
                yield name, getattr(value, name)


def _text(value: Any) -> str:
    return _ADDRESS.sub("", str(value))
