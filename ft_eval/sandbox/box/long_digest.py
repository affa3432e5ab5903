"""The digest of a long string, list or tuple, piece by piece: the same digest as `normal.normal_digest` of its tree.

Three HumanEval+ and MBPP+ problems return up to a gigabyte of nested lists (128 million elements that are five strings
over and over). Their tree and text would need several times the memory and minutes; this needs a piece at a time, and
writes each distinct scalar once. Knows no task.
"""

from itertools import chain, islice
from typing import Any

from ft_eval.sandbox.normal import (
    PIECE,
    SequenceDigest,
    normal_digest,
    normal_text,
    normal_tree,
    packed_numbers,
    piece_bytes,
    text_digest,
)
from ft_eval.sandbox.wire import to_tree

_MAX_DISTINCT = 1 << 16
"""Scalars whose text is remembered."""
_SCALARS = frozenset({type(None), bool, int, float, str})


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
    """Whether a string, list or tuple is surely longer than that on the wire: two bytes an element, two levels deep."""
    if type(value) is str:
        return len(value) + 2 > num_bytes
    if type(value) is not list and type(value) is not tuple:
        return False
    if 2 * len(value) > num_bytes:
        return True
    return 2 * sum(len(item) if type(item) in (list, tuple) else 1 for item in value) > num_bytes


def long_digest(value: str | list[Any] | tuple[Any, ...]) -> str | None:
    """What `normal_digest` gives of the value's tree; None for a value that equals nothing."""
    if isinstance(value, str):
        return _string_digest(value)
    digest, texts, elements = SequenceDigest("l" if type(value) is list else "t"), _Texts(), iter(value)
    try:
        while piece := list(islice(elements, PIECE)):
            digest.add(_piece(piece, texts))
    except _EqualsNothingError:
        return None
    return digest.hexdigest()


def _string_digest(text: str) -> str | None:
    return text_digest(text) if text.isascii() else normal_digest(to_tree(text))


def _piece(piece: list[Any], texts: _Texts) -> bytes:
    """The elements as doubles, or as their normal texts with commas between them."""
    if packed := packed_numbers(piece):
        return packed
    kinds = set(map(type, piece))
    if kinds & {list, tuple}:
        return ",".join([_element_text(element, texts) for element in piece]).encode("ascii")
    return _normal_piece(piece)


def _normal_piece(piece: list[Any]) -> bytes:
    """No lists; but there may be what is a number by another name, such as NumPy's."""
    tree = normal_tree(["l", *[to_tree(element, depth=1) for element in piece]])
    if tree is None:
        raise _EqualsNothingError
    return piece_bytes(tree[1:])


def _element_text(element: Any, texts: _Texts) -> str:
    if type(element) not in (list, tuple) or not _SCALARS.issuperset(map(type, element)):
        return _text(element)
    return ",".join(chain((_open(element),), map(texts.__getitem__, element))) + "]"


def _open(value: object) -> str:
    return '["l"' if type(value) is list else '["t"'


def _text(value: Any) -> str:
    text = normal_text(to_tree(value, depth=1))
    if text is None:
        raise _EqualsNothingError
    return text
