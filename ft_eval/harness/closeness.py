"""Are two wire trees close, as evalplus's tolerance has it? The same type, the same shape, NumPy's `allclose`.

One tree is ours, the other foreign: what a look at it costs is bounded by the size of ours. Knows no problem and no
rule for when a tolerance holds.
"""

from dataclasses import dataclass
from itertools import islice

import numpy as np

from ft_eval.sandbox.normal import strip
from ft_eval.sandbox.wire import MAX_DEPTH, Tree, WireError, from_tree

LONGEST_PART = 256
"""Characters that a number can take on the wire, as a complex one of a subclass with a long name."""
_RELATIVE_TOLERANCE = 1e-7
_PARTS_PER_PART, _ARRAYS_PER_PART = 8, 4
"""How many times as many parts, and arrays, an equal or close value may have on the wire: a number can be
["x",…,["x",…,["c",…,…]]]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    """An array as its shape and its elements, row by row."""

    shape: tuple[int, ...]
    values: list[complex]


def is_close(theirs: Tree, ours: Tree, atol: float) -> bool:
    """Whether the foreign value is of the type and shape of ours and its numbers are within `atol` and 1e-7 of ours.

    Raises WireError for a bad tree, or one that is no array of numbers.
    """
    if _kind(theirs) != _kind(ours) or not _is_as_long(theirs, ours):
        return False
    try:
        return _all_close(_flatten(theirs), _flatten(ours), atol)
    except (TypeError, ValueError, OverflowError):  # not numbers, or numbers beyond NumPy's
        return False


def is_floats(tree: Tree) -> bool:
    """Evalplus's rule for when floats are expected: a float, or a list or tuple of nothing but floats, or an array."""
    plain = strip(tree)
    if _is_sequence(plain):
        return len(plain) > 1 and all(map(_is_float, plain[1:]))
    if _kind(tree) == "numpy.ndarray":
        return _kind(tree[2]) in ("numpy.float64", "numpy.float32")
    return _is_float(tree)


def has_more_parts(theirs: bytes, ours: bytes) -> bool:
    """Whether a wire text has more parts than that of a value equal or close to the other can have. Parses neither."""
    if num_parts(theirs) > _PARTS_PER_PART * num_parts(ours):
        return True
    return _num_arrays(theirs) > _ARRAYS_PER_PART * (num_parts(ours) + _num_arrays(ours))


def _num_arrays(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def num_parts(text: bytes) -> int:
    """At least as many as there are values in the value: the commas of its wire text, and one."""
    return text.count(b",") + 1


def _is_float(tree: Tree) -> bool:
    """Whether it is Python's float or of a class made of it, as NumPy's float64 is and its others are not."""
    plain = strip(tree)
    if not isinstance(plain, float) and (not isinstance(plain, list) or plain[:1] != ["f"]):
        return False
    kind = _kind(tree)
    return kind == "numpy.float64" or (not kind.startswith("numpy.") and kind != "decimal.Decimal")


def _is_as_long(theirs: Tree, ours: Tree) -> bool:
    """Whether lists and tuples have as many elements, as far down as ours go. Visits no more than ours has."""
    theirs, ours = strip(theirs), strip(ours)
    if not _is_sequence(ours):
        return not _is_sequence(theirs)
    return (
        _is_sequence(theirs)
        and len(theirs) == len(ours)
        and all(map(_is_as_long, islice(theirs, 1, None), islice(ours, 1, None)))
    )


def _is_sequence(plain: Tree) -> bool:
    return isinstance(plain, list) and plain[:1] in (["l"], ["t"])


def _all_close(theirs: _Numbers, ours: _Numbers, atol: float) -> bool:
    if theirs.shape != ours.shape:
        return False
    left, right = (found.values if found.shape else found.values[0] for found in (theirs, ours))
    with np.errstate(all="ignore"):
        return bool(np.allclose(left, right, rtol=_RELATIVE_TOLERANCE, atol=atol))


def _kind(tree: Tree) -> str:
    """The type of the value, as a name."""
    if not isinstance(tree, list):
        return type(tree).__name__
    name = tree[1] if len(tree) > 1 and tree[0] == "x" else tree[0] if tree else None
    if not isinstance(name, str):
        raise WireError("no name of a type")
    return {"f": "float", "i": "int"}.get(name, name)


def _flatten(tree: Tree, depth: int = 0) -> _Numbers:
    """The numbers in nested lists and tuples. Raises ValueError for what NumPy takes for no array of numbers."""
    if depth > MAX_DEPTH:
        raise WireError("nested too deeply")
    plain = strip(tree)
    if isinstance(plain, int | float) or (isinstance(plain, list) and plain[:1] in (["f"], ["i"], ["c"])):
        return _Numbers(shape=(), values=[from_tree(plain)])
    if not _is_sequence(plain):
        raise WireError("not a number")
    parts = [_flatten(item, depth + 1) for item in plain[1:]]
    if len({part.shape for part in parts}) > 1:
        raise WireError("not an array")
    inner = parts[0].shape if parts else ()
    return _Numbers(shape=(len(parts), *inner), values=[value for part in parts for value in part.values])
