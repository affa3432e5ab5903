"""Is a foreign wire text equal to ours, as Python's and NumPy's == have it?

Two plain values are equal where their normal texts are. Three kinds of value are compared in pairs instead, for with
them == is no equivalence: NumPy's numbers (a Python float is rounded to the shorter type of the two; one number, or an
array of one, equals a list of one too), counters (zero is as good as nothing) and ordered dicts (between two of them
order counts). Foreign parts are compared as text or as numbers, and what that costs is bounded by the size of ours.
Knows no problem.
"""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import islice
from typing import Any, NamedTuple

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
may_equal_nothing = re.compile(rb'"nan"|\["[oe]"').search
"""What is on the wire of a value that may equal nothing, not even itself."""
_COUNTER, _ORDERED = "collections.Counter", "collections.OrderedDict"


class _Value(NamedTuple):
    """A tree as the names of its types, the outermost first, and the plain tree under them."""

    names: tuple[str, ...]
    plain: Tree
    tag: str
    """The tag of the plain tree; "" for a scalar."""

    @property
    def is_numpys(self) -> bool:
        """Whether it is a number or an array of NumPy's."""
        return bool(self.names) and self.names[0].startswith("numpy.")


def are_equal(theirs: bytes, ours: bytes) -> bool:
    """Whether a foreign wire text is that of a value equal to ours. Raises WireError for a bad one."""
    if has_more_parts(theirs, ours):
        return False
    their_tree, our_tree = parse(theirs), parse(ours)
    if may_equal_nothing(ours) and normal_text(our_tree) is None:
        return False
    with np.errstate(all="ignore"):
        return _are_equal(their_tree, our_tree)


def _are_equal(their_tree: Tree, our_tree: Tree) -> bool:
    if their_tree == our_tree:
        return True
    if not isinstance(their_tree, list) and not isinstance(our_tree, list):
        return False
    theirs, ours = _value(their_tree), _value(our_tree)
    if theirs.tag == ours.tag and ours.tag in _CONTAINERS:
        return _CONTAINERS[ours.tag](theirs, ours)
    if theirs.is_numpys or ours.is_numpys:
        return _are_equal_numbers(theirs, ours)
    return not {theirs.tag, ours.tag} & _CONTAINERS.keys() and _is_same(theirs.plain, ours.plain)


def _value(tree: Tree) -> _Value:
    names: list[str] = []
    while isinstance(tree, list) and len(tree) == 3 and tree[0] == "x":
        _, name, tree = tree
        if not isinstance(name, str) or len(names) == MAX_DEPTH:
            raise WireError("no name of a type, or nested too deeply")
        names.append(name)
    tag = tree[0] if isinstance(tree, list) and tree else ""
    return _Value(tuple(names), tree, tag if isinstance(tag, str) else "")


def _is_same(theirs: Tree, ours: Tree) -> bool:
    normal = normal_text(ours)
    return normal is not None and normal_text(theirs) == normal


def _are_equal_sequences(theirs: _Value, ours: _Value) -> bool:
    return len(theirs.plain) == len(ours.plain) and all(
        map(_are_equal, islice(theirs.plain, 1, None), islice(ours.plain, 1, None))
    )


def _are_equal_sets(theirs: _Value, ours: _Value) -> bool:
    return len(theirs.plain) == len(ours.plain) and _is_same(theirs.plain, ours.plain)


def _are_equal_dicts(theirs: _Value, ours: _Value) -> bool:
    are_counters = _COUNTER in theirs.names and _COUNTER in ours.names
    if len(theirs.plain) != len(ours.plain) and not are_counters:
        return False
    left, right = entries(theirs.plain[1:]), entries(ours.plain[1:])
    if left is None or right is None:
        return False
    if are_counters:
        left, right = ([item for item in side if not _is_same(item[1], 0)] for side in (left, right))
    if [key for key, _ in left] != [key for key, _ in right]:
        return False
    if _ORDERED in theirs.names and _ORDERED in ours.names and _keys(theirs) != _keys(ours):
        return False
    return all(_are_equal(their_item, our_item) for (_, their_item), (_, our_item) in zip(left, right, strict=True))


_CONTAINERS: Mapping[str, Callable[[_Value, _Value], bool]] = {
    "l": _are_equal_sequences,
    "t": _are_equal_sequences,
    "k": _are_equal_sequences,
    "s": _are_equal_sets,
    "d": _are_equal_dicts,
}


def _keys(ordered: _Value) -> list[str | None]:
    return [normal_text(key) for key in ordered.plain[1::2]]


def _are_equal_numbers(theirs: _Value, ours: _Value) -> bool:
    """By NumPy's ==, on NumPy's own numbers; what is no number, or none that NumPy holds, by its text."""
    try:
        return bool(_number(theirs) == _number(ours))
    except (TypeError, ValueError, OverflowError):
        return _is_same(theirs.plain, ours.plain)


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
    if isinstance(plain, int | float):
        return plain
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
