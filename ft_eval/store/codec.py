"""Frozen records to one line of ASCII JSON and back, by the dataclasses' annotations. Strict in both directions.

    str, bool, int, None    as they are; whole numbers of 64 bits
    float                   a number; NaN and the infinities as {"__float__": "nan" | "inf" | "-inf"}
    Path, StrEnum           their string
    tuple[X, ...]           an array
    Mapping[str, X]         an object
    a frozen dataclass      an object with exactly the dataclass's fields

A field that came with a later format says so in its metadata, `{"since": 2}`, and has a default: a file of an earlier
format must not hold it and is read with the default. Never pickle. Knows no file and no record by name.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from reprlib import Repr
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ft_eval.errors import StoreError, did_you_mean

FORMAT_VERSION = 3
"""Raised whenever a record or a file changes so that an older ft-eval could not read it, or would misread it."""
_OLDEST_VERSION = 1
"""The oldest format that is still read."""

T = TypeVar("T")
_Decoder = Callable[[Any], Any]
_FLOAT_TAG = "__float__"
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_AS_IT_IS = frozenset({str, bool, int, NoneType})
_LINE = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def dump(record: object, *, versioned: bool = False) -> str:
    """One line of ASCII JSON without a newline; `versioned` puts `format_version` first, as every file's records have.

    Raises:
        StoreError: A field holds what could not be read back: a wrong type, or one that the codec does not know.
    """
    try:
        plain = _plain(record)
    except _Mismatch as found:
        raise found.at(type(record)) from None
    _decode(type(record), plain, FORMAT_VERSION)  # nothing is written that could not be read back
    if versioned:
        plain = {"format_version": FORMAT_VERSION, **plain}
    return _LINE.encode(plain)


def load(cls: type[T], text: str | bytes, *, versioned: bool = False) -> T:
    """The record that `dump` made the text of.

    Raises:
        StoreError: The text is no strict JSON, of a format version that is not read here, or not exactly a record of
            this class.
    """
    plain, version = _parse(text), FORMAT_VERSION
    if versioned:
        version = _check_version(plain)
        del plain["format_version"]
    return cast("T", _decode(cls, plain, version))


class _Mismatch(Exception):  # noqa: N818 — never leaves this module
    """A value that is not what its annotation says; the way to it is put together while the call stack unwinds."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.steps: list[str] = []

    def within(self, step: str) -> "_Mismatch":
        self.steps.append(step)
        return self

    def at(self, cls: Any) -> StoreError:
        """What a caller gets to see."""
        return StoreError(f"{cls.__name__}{''.join(reversed(self.steps))}: {self}")


def _decode(cls: Any, plain: Any, version: int) -> Any:
    try:
        return _decoder(cls, version)(plain)
    except _Mismatch as found:
        raise found.at(cls) from None


def _check_version(plain: Any) -> int:
    version = plain.get("format_version") if isinstance(plain, dict) else None
    if type(version) is not int:
        raise StoreError("no format_version: this was not written by ft-eval")
    if _OLDEST_VERSION <= version <= FORMAT_VERSION:
        return version
    raise StoreError(
        f"format_version is {version}, this ft-eval reads {_OLDEST_VERSION} to {FORMAT_VERSION}; "
        + ("upgrade ft-eval to read it" if version > FORMAT_VERSION else "read it with the ft-eval that wrote it")
    )


def _parse(text: str | bytes) -> Any:
    """Strict JSON: ASCII, no duplicate keys, no nesting that exhausts the stack."""
    try:
        ascii_text = text.decode("ascii") if isinstance(text, bytes) else text
        return json.loads(ascii_text, object_pairs_hook=_no_duplicates)
    except RecursionError:
        raise StoreError("not a record of ft-eval: JSON nested too deep") from None
    except ValueError as error:
        raise StoreError(f"not a record of ft-eval: {error}") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) != len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise ValueError(f"key {_SHORT.repr(twice)} stands twice in one object")
    return plain


def _plain(value: Any) -> Any:
    """Plain JSON data of a record's value."""
    if type(value) in _AS_IT_IS or isinstance(value, int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_FLOAT_TAG: str(float(value))}
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, tuple):
        return [item if type(item) in _AS_IT_IS else _plain_part(item, index) for index, item in enumerate(value)]
    if isinstance(value, dict | Mapping):  # the first is looked up faster
        return {key: _plain_part(item, key) for key, item in value.items()}
    if is_dataclass(value):
        return _plain_fields(value)
    raise _Mismatch(f"a {type(value).__name__} can't be stored")


def _plain_part(item: Any, place: object) -> Any:
    try:
        return _plain(item)
    except _Mismatch as error:
        raise error.within(f"[{_SHORT.repr(place)}]") from None


def _plain_fields(record: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    name = ""
    try:
        for name in _names(cast("Any", type(record))):
            value = getattr(record, name)
            plain[name] = value if type(value) in _AS_IT_IS else _plain(value)  # most are: a call less each
    except _Mismatch as error:
        raise error.within(f".{name}") from None
    return plain


@cache
def _names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))


@cache
def _decoder(hint: Any, version: int) -> _Decoder:
    """The function that turns a format's plain data into a value of the annotated type, made once for each of both."""
    if hint in _EXACT:
        return _exact(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType) and len(arguments) == 2 and NoneType in arguments:
        return _optional(_decoder(next(argument for argument in arguments if argument is not NoneType), version))
    if origin is tuple and arguments[1:] == (...,):
        return _array(_decoder(arguments[0], version))
    if origin is Mapping and arguments[0] is str:
        return _object(_decoder(arguments[1], version))
    if isinstance(hint, type) and is_dataclass(hint):
        return _record(hint, version)
    return _special(hint)


def _special(hint: Any) -> _Decoder:
    if hint in (int, float):
        return _int if hint is int else _float
    if hint is Path:
        text = _exact(str)
        return lambda value: Path(text(value))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum(hint)
    raise TypeError(f"the codec has no rule for the annotation {hint}")


def _mismatch(got: object, expected: str) -> _Mismatch:
    return _Mismatch(f"got {_SHORT.repr(got)}, expected {expected}")


_EXACT: Mapping[type, str] = {str: "a string", bool: "true or false"}


def _exact(kind: type) -> _Decoder:
    def decode(value: Any) -> Any:
        if type(value) is not kind:
            raise _mismatch(value, _EXACT[kind])
        return value

    return decode


def _int(value: Any) -> int:
    """Of 64 bits, as columns and other readers have it; Python's own would overflow there."""
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    raise _mismatch(value, f"a whole number{' of 64 bits' * (type(value) is int)}")


def _float(value: Any) -> float:
    if type(value) is float and math.isfinite(value):  # the parser lets NaN and 1e400 through
        return value
    if type(value) is int and abs(value) <= 2**53:
        return float(value)
    if type(value) is dict and list(value) == [_FLOAT_TAG] and value[_FLOAT_TAG] in tuple(_NON_FINITE):
        return _NON_FINITE[value[_FLOAT_TAG]]
    raise _mismatch(value, "a number")


def _enum(kind: type[StrEnum]) -> _Decoder:
    members = {member.value: member for member in kind}

    def decode(value: Any) -> StrEnum:
        if type(value) is not str or value not in members:
            raise _mismatch(value, f"one of {', '.join(members)}")
        return members[value]

    return decode


def _optional(inner: _Decoder) -> _Decoder:
    return lambda value: None if value is None else inner(value)


def _array(item: _Decoder) -> _Decoder:
    def decode(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise _mismatch(value, "an array")
        found: list[Any] = []
        try:
            for element in value:
                found.append(item(element))  # noqa: PERF401 — its length says where an error is
        except _Mismatch as error:
            raise error.within(f"[{len(found)}]") from None
        return tuple(found)

    return decode


def _object(item: _Decoder) -> _Decoder:
    def decode(value: Any) -> dict[str, Any]:
        if type(value) is not dict or not all(type(key) is str for key in value):
            raise _mismatch(value, "an object with string keys")
        found, key = {}, ""
        try:
            for key, element in value.items():
                found[key] = item(element)
        except _Mismatch as error:
            raise error.within(f"[{_SHORT.repr(key)}]") from None
        return found

    return decode


def _record(cls: type, version: int) -> _Decoder:
    hints = get_type_hints(cls)
    known = [field.name for field in fields(cls) if field.metadata.get("since", _OLDEST_VERSION) <= version]
    items = {name: _decoder(hints[name], version) for name in known}

    def decode(value: Any) -> Any:
        if type(value) is not dict:
            raise _mismatch(value, "an object")
        if value.keys() != items.keys():
            raise _wrong_keys(value, items)
        found, name = {}, ""
        try:
            for name, item in items.items():
                found[name] = item(value[name])
        except _Mismatch as error:
            raise error.within(f".{name}") from None
        return cls(**found)

    return decode


def _wrong_keys(value: Mapping[str, Any], known: Mapping[str, Any]) -> _Mismatch:
    unknown = next((key for key in value if key not in known), None)
    if unknown is not None:
        return _Mismatch(f"unknown key {_SHORT.repr(unknown)}{did_you_mean(str(unknown), known)}")
    return _Mismatch(f"missing key {next(key for key in known if key not in value)!r}")
