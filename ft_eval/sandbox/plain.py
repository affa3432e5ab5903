"""The plain value under a subclass or look-alike: the value of Python's own types that it equals.

A subclass is read by its base class's own methods, never by its overrides. NumPy's types are found where NumPy is
loaded; it is never imported here. Knows no wire. Used in the box, for answers.
"""

import sys
from collections import ChainMap, OrderedDict, UserDict, UserList, UserString, deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from math import nan
from types import MappingProxyType
from typing import Any

_PLAIN = frozenset({bool, int, float, complex, str, bytes})
_DICT_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.items()))
_MODULES = sys.modules
"""Where NumPy is looked for, which may not be loaded or not be there."""


def plain_value(value: Any) -> Any:
    """The value of a base class, or of the type that this one is compared as; the value itself if there is none."""
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
    wrapped = _WRAPPED.get(type(value))
    return wrapped(value) if wrapped else _numpy_scalar(value)


def parts_of_kind(value: Any) -> tuple[str, list[Any]] | None:
    """For what equals nothing but its own kind: the kind, and parts that are equal where the values are."""
    if type(value) is deque:
        return "deque", list(value)
    return ("range", _range_parts(value)) if type(value) is range else None


def _range_parts(numbers: range) -> list[int]:
    """First, last and step, as far as they tell ranges apart: those of the same numbers are equal."""
    if not numbers:
        return []
    return [numbers[0], numbers[-1], numbers.step] if numbers[0] != numbers[-1] else [numbers[0]]


def only_element(value: Any) -> Any:
    """What a NumPy array of one element is equal to; the value itself for any other, which has no truth in an `==`."""
    array = _numpy_type("ndarray")
    if array is None or type(value).__module__ != "numpy" or not issubclass(type(value), array):
        return value
    if array.size.__get__(value) != 1:
        return value
    element = array.flat.__get__(value)[0]
    is_scalar = element is None or type(element) in _PLAIN or isinstance(element, _numpy_type("generic"))
    return element if is_scalar else value


def _dict_of(value: Any) -> dict[Any, Any]:
    """A dict in the value's own order, which in an ordered one is another than the underlying dict's."""
    return dict(OrderedDict.items(value) if isinstance(value, OrderedDict) else dict.items(value))


def _set_of(view: Any) -> Any:
    """The keys or items of a dict as a set, which they equal; the view itself where some value has no hash."""
    try:
        return set(view)
    except TypeError:
        return view


_STRIP: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, lambda value: int.__add__(value, 0)),
    (float, lambda value: float.__add__(value, 0.0)),
    (str, lambda value: str.__add__("", value)),
    (tuple, lambda value: tuple(tuple.__iter__(value))),
    (list, lambda value: list(list.__iter__(value))),
    (OrderedDict, lambda value: OrderedDict(OrderedDict.items(value))),
    (dict, _dict_of),
    (set, lambda value: set(set.__iter__(value))),
    (complex, lambda value: complex.__add__(value, 0j)),
    (bytes, lambda value: bytes.__add__(b"", value)),
    (deque, lambda value: deque(deque.__iter__(value))),
)
"""For a strict subclass of each base: a value of the base itself."""

_WRAPPED: Mapping[type, Callable[[Any], Any]] = {
    ChainMap: dict,
    MappingProxyType: dict,
    UserDict: dict,
    UserList: list,
    UserString: str,
}
"""Types that compare as the value they hold."""


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
    if type(plain) is bytes and issubclass(type(value), _numpy_type("void") or ()):
        return value
    if type(plain) in _PLAIN:
        return plain
    return _long_number(value)


def _long_number(value: Any) -> Any:
    """A NumPy number that may be longer than Python's, exactly; the value itself where no plain one equals it."""
    longdouble, clongdouble = _numpy_type("longdouble"), _numpy_type("clongdouble")
    if clongdouble and issubclass(type(value), clongdouble):
        plain = complex(value)
        return plain if plain == value else value
    if not (longdouble and issubclass(type(value), longdouble)):
        return value
    try:
        return Fraction(*longdouble.as_integer_ratio(value))
    except (OverflowError, ValueError):  # no number, or an infinite one
        return float(value)


def _numpy_type(name: str) -> Any:
    """A class of NumPy's; None where NumPy is not loaded."""
    found = getattr(_MODULES.get("numpy"), name, None)
    return found if isinstance(found, type) else None
