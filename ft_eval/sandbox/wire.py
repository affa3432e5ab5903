"""Plain data as text: what crosses the wall, both ways. JSON with tags, never pickle.

A scalar is itself: null, true, 1, 0.5, "text". Everything else is an array that opens with its tag:

    ["l", …] list     ["t", …] tuple    ["s", …] set (sorted by text)   ["d", key, value, …] dict (in its own order)
    ["i", hex] an int beyond 64 bits    ["f", "nan" | "inf" | "-inf"]   ["c", real, imag]      ["q", num, den] fraction
    ["b", hex] bytes  ["u", hex] a string with lone surrogates          ["x", type, value] a subclass or look-alike
    ["k", kind, …] what equals its own kind alone: deque, range         ["e", type, …] an iterable, read out
    ["o", type] anything else: equal to nothing

The *tree* is that JSON as Python lists; the *text* is its ASCII bytes. Two values are equal (as Python's == has it on
plain data) exactly when their normal texts are: see `normal`.

Knows nothing of processes, tasks or tests. Used on both sides of the wall.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain, islice
from math import isfinite
from typing import Any

from ft_eval.sandbox.plain import only_element, parts_of_kind, plain_value

Tree = Any
"""None, bool, int, float, str, or a list that opens with a tag."""

MAX_DEPTH = 100
"""Nesting beyond this is opaque."""
MAX_EXPANDED = 1_000_000
"""Elements read out of one iterable."""

_SMALL = 1 << 63
_NUMBERS = frozenset({int, float})
_SCALARS = frozenset({type(None), bool, int, float, str})
_as_json = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"), check_circular=False).encode
_SHORT: Mapping[type, Callable[[Any], str]] = {
    type(None): lambda _none: "null",
    bool: {False: "false", True: "true"}.__getitem__,
    int: int.__repr__,
}
"""What the encoder writes too, in a third of the time: most answers are one of these."""


class WireError(ValueError):
    """Text or tree that this module would not have made."""


def encode(value: object, *, expand_iterators: bool = False) -> bytes:
    """The wire text of a value. Subclasses are read by their base class's own methods, never by their overrides."""
    return dumps(to_tree(value, expand_iterators=expand_iterators)).encode("ascii")


def dumps(tree: Tree) -> str:
    """The JSON of a tree, ASCII. Raises ValueError for a float that should have been tagged."""
    write = _SHORT.get(type(tree), _as_json)
    return write(tree)


def to_tree(value: object, depth: int = 0, *, expand_iterators: bool = False) -> Tree:
    """The tree of a value. `expand_iterators` holds for the outermost value alone, and for all that can be iterated."""
    kind = type(value)
    if kind in _SCALARS:
        return _scalar(value)
    if depth >= MAX_DEPTH:
        return ["o", "nested too deeply"]
    if kind is list or kind is tuple:
        assert isinstance(value, list | tuple), "list and tuple are what was asked for"
        return _sequence("l" if kind is list else "t", value, depth)
    if kind is set:
        return ["s", *_sorted(set.__iter__(value), depth)]  # type: ignore[arg-type]
    if kind is dict:
        return ["d", *_items(value, depth)]
    return _rest(value, depth, expand_iterators=expand_iterators)


def parse(text: bytes) -> Tree:
    """The tree of a wire text. Raises WireError for what is no such text, however hostile."""
    try:
        return json.loads(text.decode("ascii"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not a wire text: {error}") from error


def from_tree(tree: Tree) -> Any:
    """The value of a tree. Builds sets and dicts, so it is for trusted trees only. Raises WireError for opaque ones."""
    if not isinstance(tree, list):
        return tree
    tag, *rest = tree
    if tag == "l":
        return [from_tree(item) for item in rest]
    if tag == "t":
        return tuple([from_tree(item) for item in rest])
    if tag == "s":
        return {from_tree(item) for item in rest}
    if tag == "d":
        return {from_tree(key): from_tree(value) for key, value in zip(rest[::2], rest[1::2], strict=True)}
    return _from_leaf(tag, rest)


def _refuse(constant: str) -> None:
    raise WireError(f"{constant} without its tag")


def _scalar(value: Any) -> Tree:
    kind = type(value)
    if kind is int and not -_SMALL <= value < _SMALL:
        return ["i", hex(value)]
    if kind is float and not isfinite(value):
        return ["f", repr(value)]
    if kind is str and not value.isascii() and _has_surrogates(value):
        return ["u", value.encode("utf-8", "surrogatepass").hex()]
    return value


def _has_surrogates(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _is_flat(values: list[Any] | tuple[Any, ...]) -> bool:
    """Whether every element is a scalar that needs no tag: decided at C speed, for lists of a hundred thousand."""
    kinds = set(map(type, values))
    if not kinds or kinds == {bool}:
        return True
    if kinds == {str}:
        return "".join(values).isascii()
    return kinds <= _NUMBERS and are_small(values)


def are_small(numbers: Sequence[float]) -> bool:
    """Whether all of some ints and floats are finite and within 64 bits."""
    return min(numbers) >= -_SMALL and max(numbers) < _SMALL and all(map(isfinite, numbers))


def _sequence(tag: str, values: list[Any] | tuple[Any, ...], depth: int) -> Tree:
    if _is_flat(values):
        return [tag, *values]
    return [tag, *[to_tree(value, depth + 1) for value in values]]


def _sorted(values: Iterable[object], depth: int) -> list[Tree]:
    return sorted((to_tree(value, depth + 1) for value in values), key=dumps)


def _items(value: Any, depth: int) -> Iterator[Tree]:
    return (to_tree(part, depth + 1) for part in chain.from_iterable(dict.items(value)))


def _rest(value: Any, depth: int, *, expand_iterators: bool) -> Tree:
    """Subclasses, look-alikes and everything else."""
    kind = type(value)
    if kind is complex:
        return ["c", _scalar(value.real), _scalar(value.imag)]
    if kind is bytes:
        return ["b", value.hex()]
    plain = plain_value(value)
    if plain is not value:
        return ["x", type_name(kind), to_tree(plain, depth + 1)]
    if kind is Fraction:
        return ["q", hex(value.numerator), hex(value.denominator)]
    if expand_iterators:
        return _read_out(value, depth)
    return _of_own_kind(value, depth)


def _of_own_kind(value: Any, depth: int) -> Tree:
    """What equals its own kind alone, an array of one element, or nothing."""
    name = type_name(type(value))
    if found := parts_of_kind(value):
        return ["k", found[0], *[to_tree(part, depth + 1) for part in found[1]]]
    element = only_element(value)
    return ["o", name] if element is value else ["x", name, to_tree(element, depth + 1)]


def _read_out(value: Any, depth: int) -> Tree:
    name = type_name(type(value))
    try:
        elements = iter(value)
    except TypeError:
        return ["o", name]
    return ["e", name, *[to_tree(element, depth + 1) for element in islice(elements, MAX_EXPANDED)]]


def type_name(kind: type) -> str:
    """`module.name` of a type, bounded and printable whatever the type says of itself."""
    parts = [part for part in (getattr(kind, "__module__", ""), getattr(kind, "__qualname__", "")) if type(part) is str]
    return printable(".".join(parts), 100)


def printable(text: str, length: int) -> str:
    """The first characters of foreign text, with everything but printable ASCII replaced by `?`."""
    return "".join(character if " " <= character <= "~" else "?" for character in text[:length])


def _from_leaf(tag: object, rest: list[Any]) -> Any:
    match tag, rest:
        case "i", [str(digits)]:
            return int(digits, 16)
        case "f", [str(name)]:
            return float(name)
        case "c", [real, imag]:
            return complex(from_tree(real), from_tree(imag))
        case "q", [str(numerator), str(denominator)]:
            return Fraction(int(numerator, 16), int(denominator, 16))
        case "b", [str(digits)]:
            return bytes.fromhex(digits)
        case "u", [str(digits)]:
            return bytes.fromhex(digits).decode("utf-8", "surrogatepass")
        case _:
            raise WireError(f"no value for tag {tag!r}")
