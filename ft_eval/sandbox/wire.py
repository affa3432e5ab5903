"""Plain data as text: what crosses the wall, both ways. JSON with tags, never pickle.

A scalar is itself: null, true, 1, 0.5, "text". Everything else is an array that opens with its tag:

    ["l", …] list     ["t", …] tuple    ["s", …] set (sorted by text)   ["d", key, value, …] dict (in its own order)
    ["i", hex] an int beyond 64 bits    ["f", "nan" | "inf" | "-inf"]   ["c", real, imag]      ["q", num, den] fraction
    ["b", hex] bytes  ["u", hex] a string with lone surrogates          ["x", type, value] a subclass or look-alike
    ["e", type, …] an iterable, read out                                ["o", type] anything else: equal to nothing

The *tree* is that JSON as Python lists; the *text* is its ASCII bytes. Two values are equal (as Python's == has it on
plain data) exactly when their normal texts are: see `normal`.

Knows nothing of processes, tasks or tests. Used on both sides of the wall.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import chain, islice
from math import isfinite, nan
from typing import Any

Tree = Any
"""None, bool, int, float, str, or a list that opens with a tag."""

MAX_DEPTH = 100
"""Nesting beyond this is opaque."""
MAX_EXPANDED = 1_000_000
"""Elements read out of one iterable."""

_SMALL = 1 << 63
_NUMBERS = frozenset({int, float})
_PLAIN = (bool, int, float, complex, str, bytes)
_DICT_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.items()))
_MODULES = sys.modules
"""Where NumPy is looked for, which may not be loaded or not be there."""
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
    plain = _plain(value)
    if plain is not value:
        return ["x", type_name(kind), to_tree(plain, depth + 1)]
    if kind is Fraction:
        return ["q", hex(value.numerator), hex(value.denominator)]
    if expand_iterators:
        return _read_out(value, depth)
    element = _only_element(value)
    return ["o", type_name(kind)] if element is value else ["x", type_name(kind), to_tree(element, depth + 1)]


def _read_out(value: Any, depth: int) -> Tree:
    name = type_name(type(value))
    try:
        elements = iter(value)
    except TypeError:
        return ["o", name]
    return ["e", name, *[to_tree(element, depth + 1) for element in islice(elements, MAX_EXPANDED)]]


def _plain(value: Any) -> Any:
    """The plain value under a subclass or look-alike, by the base class's own methods; the value itself if none."""
    for base, strip in _STRIP:
        if isinstance(value, base) and type(value) is not base:
            return strip(value)
    if isinstance(value, frozenset):
        return set(frozenset.__iter__(value))
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, _DICT_VIEWS):
        return _set_of(value)
    return _numpy_scalar(value)


def _set_of(view: Any) -> Any:
    """The keys or items of a dict as a set, which they equal; the view itself where some value has no hash."""
    try:
        return set(view)
    except TypeError:
        return view


_STRIP = (
    (int, lambda value: int.__add__(value, 0)),
    (float, lambda value: float.__add__(value, 0.0)),
    (str, lambda value: str.__add__("", value)),
    (tuple, lambda value: tuple(tuple.__iter__(value))),
    (list, lambda value: list(list.__iter__(value))),
    (dict, lambda value: dict(dict.items(value))),
    (set, lambda value: set(set.__iter__(value))),
    (complex, lambda value: complex.__add__(value, 0j)),
    (bytes, lambda value: bytes.__add__(b"", value)),
)
"""For a strict subclass of each base: a value of the base itself."""


def _decimal(value: Decimal) -> Any:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        return float(value) if not value.is_snan() else nan
    return Fraction(value) if abs(exponent) <= 4000 else value


def _numpy_scalar(value: Any) -> Any:
    """NumPy's numbers, booleans and strings as Python's; the value itself for anything else, an array too."""
    generic = _numpy_type("generic")
    if generic is None or not issubclass(type(value), generic):
        return value
    plain = generic.item(value)
    if type(plain) in _PLAIN:
        return plain
    longdouble = _numpy_type("longdouble")
    return _long_float(value, longdouble) if longdouble and issubclass(type(value), longdouble) else value


def _long_float(value: Any, longdouble: Any) -> Any:
    """A NumPy float that may be longer than Python's, exactly."""
    try:
        return Fraction(*longdouble.as_integer_ratio(value))
    except (OverflowError, ValueError):  # no number, or an infinite one
        return float(value)


def _only_element(value: Any) -> Any:
    """What a NumPy array of one element is equal to; the value itself for any other, which has no truth in an `==`."""
    array = _numpy_type("ndarray")
    if array is None or type(value).__module__ != "numpy" or not issubclass(type(value), array):
        return value
    element = array.item(value) if array.size.__get__(value) == 1 else value
    return element if type(element) in _PLAIN else value


def _numpy_type(name: str) -> Any:
    """A class of NumPy's; None where NumPy is not loaded."""
    found = getattr(_MODULES.get("numpy"), name, None)
    return found if isinstance(found, type) else None


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
