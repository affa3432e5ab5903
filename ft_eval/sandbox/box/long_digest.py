"""The digest of a long list or tuple, piece by piece: the same digest as `normal.normal_digest` of its tree.

Three HumanEval+ and MBPP+ problems return up to a gigabyte of nested lists (128 million elements that are five strings
over and over). Their tree and text would need several times the memory and minutes; this needs a piece at a time, and
writes each distinct scalar once. Knows no task.
"""

import hashlib
from itertools import chain, islice
from typing import Any

from ft_eval.sandbox.normal import normal_text
from ft_eval.sandbox.wire import dumps, to_tree

_PIECE = 1 << 16
"""Elements taken at a time."""
_MAX_DISTINCT = 1 << 16
"""Scalars whose text is remembered."""
_SCALARS = frozenset({type(None), bool, int, float, str})
_NUMBERS = frozenset({bool, int, float})
_SMALLEST_INT, _LARGEST_INT = -(1 << 63), (1 << 63) - 1


class _EqualsNothingError(Exception):
    """Some element equals nothing, so the whole does."""


class _Texts(dict[Any, str]):
    """Scalar to normal text. Equal scalars (1, True, 1.0) share a text, so that equal keys are no mistake."""

    def __missing__(self, scalar: Any) -> str:
        if len(self) >= _MAX_DISTINCT:
            self.clear()
        self[scalar] = text = _text(scalar)
        return text


def is_long(value: object, num_bytes: int) -> bool:
    """Whether a list or tuple is surely longer than `num_bytes` on the wire: two bytes an element, two levels deep."""
    if type(value) is not list and type(value) is not tuple:
        return False
    return 2 * sum(len(item) if type(item) in (list, tuple) else 1 for item in value) > num_bytes


def long_digest(value: list[Any] | tuple[Any, ...]) -> str | None:
    """sha256, hexadecimal, of the normal text; None for a value that equals nothing."""
    digest, texts, elements = hashlib.sha256(), _Texts(), iter(value)
    digest.update(_open(value).encode("ascii"))
    try:
        while piece := list(islice(elements, _PIECE)):
            digest.update(f",{_piece_text(piece, texts)}".encode("ascii"))
    except _EqualsNothingError:
        return None
    digest.update(b"]")
    return digest.hexdigest()


def _open(value: object) -> str:
    return '["l"' if type(value) is list else '["t"'


def _piece_text(piece: list[Any], texts: _Texts) -> str:
    """The elements' normal texts, with commas between them."""
    kinds = set(map(type, piece))
    if kinds <= _NUMBERS and (whole := _whole_numbers(piece)):
        return dumps(whole)[1:-1]
    if kinds <= _SCALARS:
        return _text(piece).removeprefix('["l",').removesuffix("]")
    return ",".join([_element_text(element, texts) for element in piece])


def _whole_numbers(piece: list[Any]) -> list[int]:
    """The piece as ints that json writes as they are, where all of its numbers are whole and small; else nothing."""
    try:
        whole = list(map(int, piece))
    except (OverflowError, ValueError):  # an infinity, or not a number
        return []
    is_small = whole == piece and min(whole) >= _SMALLEST_INT and max(whole) <= _LARGEST_INT
    return whole if is_small else []


def _element_text(element: Any, texts: _Texts) -> str:
    if type(element) not in (list, tuple) or not _SCALARS.issuperset(map(type, element)):
        return _text(element)
    return ",".join(chain((_open(element),), map(texts.__getitem__, element))) + "]"


def _text(value: Any) -> str:
    text = normal_text(to_tree(value, depth=1))
    if text is None:
        raise _EqualsNothingError
    return text
