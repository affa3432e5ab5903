"""Is a foreign wire text equal to ours, as Python's and NumPy's == have it?

Two plain values are equal where their normal texts are. Three kinds of value are compared in pairs instead, for with
them == is no equivalence: NumPy's numbers (a Python float is rounded to the shorter type of the two; one number, or an
array of one, equals a list of one too), counters (zero is as good as nothing) and ordered dicts (between two of them
order counts). Foreign parts are compared as text or as numbers, and what that costs is bounded by the size of ours.
Knows no problem.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np

from ft_eval.harness.closeness import has_more_parts
from ft_eval.sandbox.normal import entries, normal_text, number_value
from ft_eval.sandbox.wire import MAX_DEPTH, Tree, WireError, parse

_NUMBERS: Mapping[str, Any] = {
    f"numpy.{name}": getattr(np, name.removesuffix("_"), None) or np.bool_
    for name in (
        *("bool", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "longdouble", "complex64", "complex128", "clongdouble"),
    )
}
_COUNTER, _ORDERED = "collections.Counter", "collections.OrderedDict"


@dataclass(frozen=True, slots=True)
class _Value:
    """A tree as the names of its types, the outermost first, and the plain tree under them."""

    names: tuple[str, ...]
    plain: Tree

    @property
    def tag(self) -> str:
        """The tag of the plain tree; "" for a scalar."""
        return str(self.plain[0]) if isinstance(self.plain, list) and self.plain else ""

    @property
    def is_numpys(self) -> bool:
        """Whether it is a number or an array of NumPy's."""
        return any(name.startswith("numpy.") for name in self.names)


def are_equal(theirs: bytes, ours: bytes) -> bool:
    """Whether a foreign wire text is that of a value equal to ours. Raises WireError for a bad one."""
    if has_more_parts(theirs, ours):
        return False
    their_tree, our_tree = parse(theirs), parse(ours)
    normal = normal_text(our_tree)
    if normal is None:
        return False
    is_equal = normal_text(their_tree) == normal
    if b'"collections.' in theirs and b'"collections.' in ours:
        return _are_equal(their_tree, our_tree)
    return is_equal or ((b'"numpy.' in theirs or b'"numpy.' in ours) and _are_equal(their_tree, our_tree))


def _are_equal(their_tree: Tree, our_tree: Tree) -> bool:
    if not isinstance(their_tree, list) and not isinstance(our_tree, list):
        return bool(their_tree == our_tree)
    theirs, ours = _value(their_tree), _value(our_tree)
    if theirs.tag == ours.tag and ours.tag in ("l", "t", "k"):
        return len(theirs.plain) == len(ours.plain) and all(
            map(_are_equal, islice(theirs.plain, 1, None), islice(ours.plain, 1, None))
        )
    if theirs.tag == ours.tag == "d":
        return _are_equal_dicts(theirs, ours)
    if _is_same(theirs.plain, ours.plain):
        return True
    return (theirs.is_numpys or ours.is_numpys) and _are_equal_numbers(theirs, ours)


def _value(tree: Tree) -> _Value:
    names: list[str] = []
    while isinstance(tree, list) and len(tree) == 3 and tree[0] == "x":
        names.append(str(tree[1]))
        tree = tree[2]
        if len(names) > MAX_DEPTH:
            raise WireError("nested too deeply")
    return _Value(tuple(names), tree)


def _is_same(theirs: Tree, ours: Tree) -> bool:
    normal = normal_text(ours)
    return normal is not None and normal_text(theirs) == normal


def _are_equal_dicts(theirs: _Value, ours: _Value) -> bool:
    left, right = entries(theirs.plain[1:]), entries(ours.plain[1:])
    if left is None or right is None:
        return False
    if _COUNTER in theirs.names and _COUNTER in ours.names:
        left, right = ([item for item in side if not _is_same(item[1], 0)] for side in (left, right))
    if [key for key, _ in left] != [key for key, _ in right]:
        return False
    if _ORDERED in theirs.names and _ORDERED in ours.names and _keys(theirs) != _keys(ours):
        return False
    return all(_are_equal(their_item, our_item) for (_, their_item), (_, our_item) in zip(left, right, strict=True))


def _keys(ordered: _Value) -> list[str | None]:
    return [normal_text(key) for key in ordered.plain[1::2]]


def _are_equal_numbers(theirs: _Value, ours: _Value) -> bool:
    """By NumPy's ==, on NumPy's own numbers."""
    try:
        with np.errstate(all="ignore"):
            return bool(_number(theirs) == _number(ours))
    except (TypeError, ValueError, OverflowError):
        return False


def _number(value: _Value, depth: int = 0) -> Any:
    """Python's or NumPy's number; that in a list of one as an array has it. Raises ValueError where there is none."""
    if value.tag in ("l", "t"):
        if len(value.plain) != 2 or depth > MAX_DEPTH:
            raise WireError("an array of another size than one")
        return np.asarray(_number(_value(value.plain[1]), depth + 1))[()]
    number = _plain_number(value.plain)
    kind = next((_NUMBERS[name] for name in value.names if name in _NUMBERS), None)
    if isinstance(number, Fraction):
        number = _exact_float(number, kind)
    found = number if kind is None else kind(number)
    if found != number:
        raise WireError("a number that its type can't hold")
    return found


def _plain_number(plain: Tree) -> int | float | complex | Fraction:
    match plain:
        case ["c", real, imag]:
            return complex(_real_number(real), _real_number(imag))
    return _real_number(plain)


def _real_number(plain: Tree) -> int | float | Fraction:
    number = number_value(plain)
    if number is None:
        raise WireError("not a number")
    return number


def _exact_float(number: Fraction, kind: object) -> float:
    """The float that equals the fraction that a long float of NumPy's travels as."""
    found = float(number)
    if kind is not np.longdouble or Fraction(found) != number:
        raise WireError("a fraction, or a float too long")
    return found
