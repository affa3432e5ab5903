"""What a task's template may make: bounds on numbers, texts and patterns, looked at before the work is done.

Knows values and what jinja2's filters and text's methods make of them; knows no template and no clock.
"""

import re
from collections.abc import Mapping, Sized
from itertools import islice
from typing import Any

from jinja2 import Environment
from jinja2.exceptions import SecurityError
from jinja2.nodes import EvalContext
from jinja2.runtime import Context

MAX_CHARACTERS = 4 * 2**20
MAX_STEPS = 100_000
"""Of all loops of one rendering."""
MAX_NUMBER = 10_000
"""Of a width, and of what a filter is told to count."""
MAX_POWER = 64
_MAX_QUANTIFIERS = 2
_WIDTH = re.compile(r"\d{5,}")
_WIDE_METHODS = frozenset({"ljust", "rjust", "center", "zfill", "expandtabs"})


def checked_filter(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """A filter's arguments, looked at: what comes before its own is jinja2's context, if any, and the value.

    Raises SecurityError.
    """
    start = int(bool(args) and isinstance(args[0], Context | EvalContext | Environment))
    given = args[start:]
    for value in (*given[1:], *kwargs.values()):
        check_number(value)
    texts = [value for value in given if isinstance(value, str)]
    if name == "format":
        check_widths(texts[0] if texts else "")
    elif name in {"replace", "regex_replace"} and len(texts) > 2:
        check_size((len(texts[0]) + 1) * len(texts[2]))
        if name == "regex_replace":
            _check_pattern(texts[1], texts[0])
    elif name == "join" and given:
        between = given[1] if len(given) > 1 else kwargs.get("d", "")
        return (*args[:start], _checked_items(given[0], between), *given[1:])
    return args


def _checked_items(items: Any, between: Any) -> Any:
    """What is to be joined, each thing made once, its whole length bounded."""
    known: Any = items if isinstance(items, Sized) else list(islice(items, MAX_STEPS + 1))
    texts = list(islice(known, MAX_STEPS + 1))
    check_size(len(texts) * len(str(between)) + sum(len(text) for text in texts if isinstance(text, str)))
    return known


def _check_pattern(pattern: str, text: str) -> None:
    """Refuse a regular expression that may run for years: a group that is repeated, many repetitions, a long text."""
    bare = re.sub(r"\\.", "x", pattern)
    if re.search(r"\)[*+{?]", bare) or len(re.findall(r"[*+{]", bare)) > _MAX_QUANTIFIERS or len(text) > MAX_NUMBER:
        raise SecurityError(
            f"the pattern {pattern[:80]!r} may take too long; repeat no group, and nothing more than twice"
        )


def checked_call(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """The arguments of a call, looked at where it is a text's method that makes more of it than there was.

    Raises SecurityError.
    """
    method = getattr(function, "__wrapped__", function)  # jinja2 wraps `format`
    owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
    if not isinstance(owner, str):
        return args
    if name in _WIDE_METHODS:
        for value in (*args, *kwargs.values()):
            check_number(value)
        check_size(owner.count("\t") * MAX_NUMBER if name == "expandtabs" else 0)
    elif name == "replace" and len(args) > 1 and isinstance(args[1], str):
        check_size((len(owner) + 1) * len(args[1]))
    elif name == "join" and args:
        return (_checked_items(args[0], owner),)
    elif name in {"format", "format_map"}:
        check_widths(owner)
    return args


def check_number(value: Any, most: int = MAX_NUMBER) -> None:
    """Raise SecurityError for a whole number that is larger; anything else passes."""
    if isinstance(value, int) and abs(value) > most:
        raise SecurityError(f"the number {_short(value)} is larger than a template may use here ({most})")


def check_product(left: Any, right: Any) -> None:
    """Raise SecurityError where a text repeated, or two whole numbers multiplied, would be too large."""
    for text, number in ((left, right), (right, left)):
        if isinstance(text, str | list | tuple | bytes) and isinstance(number, int):
            check_size(len(text) * max(number, 0))
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MAX_NUMBER:
        raise SecurityError("a product of numbers that large is not for a template")


def check_widths(text: Any) -> None:
    """Raise SecurityError for a format that asks for a width or precision of five digits."""
    if isinstance(text, str) and _WIDTH.search(text):
        raise SecurityError("a format may not be wider than four digits")


def check_size(num_characters: int) -> None:
    """Raise SecurityError for more than MAX_CHARACTERS."""
    if num_characters > MAX_CHARACTERS:
        raise SecurityError(f"a template may make texts of {MAX_CHARACTERS} characters at most")


def bounded(value: Any) -> Any:
    """The value itself. Raises SecurityError for a text or list beyond MAX_CHARACTERS."""
    if isinstance(value, str | list | tuple | bytes):
        check_size(len(value))
    return value


def _short(value: int) -> str:
    return str(value) if value.bit_length() < 100 else f"of {value.bit_length()} bits"
