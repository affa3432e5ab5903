"""Parsing of the values that several commands take. Each error says what was got and what was expected."""

import math
import re
from collections.abc import Sequence
from typing import Any

import click

from ft_eval.errors import UsageError

DEFAULT_MAX_UNSCORED = 0.01
"""The share of a job's samples that may be unscored before its run fails."""
_MAX_LINE = 4000
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}", flags=re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,3})?", flags=re.ASCII)


class Whole(click.ParamType):  # type: ignore[type-arg] # generic in new versions of click alone
    """A whole number within bounds, in plain digits: Python's own `int` takes `٣` and `1_0` too.

    >>> Whole(low=1).convert("8", None, None)
    8
    """

    name = "number"

    def __init__(self, *, low: int = -(2**63), high: int = 2**63 - 1) -> None:
        self.low = low
        self.high = high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; a click error names what was got and what was expected."""
        text = str(value)
        if not _WHOLE.fullmatch(text):
            self.fail(f"{_short(text)} is no whole number, such as 8.", param, ctx)
        number = int(text)
        if not self.low <= number <= self.high:
            bounds = f"from {self.low} to {self.high}" if self.high < 2**63 - 1 else f"{self.low} or more"
            self.fail(f"{_short(text)} is out of range; expected {bounds}.", param, ctx)
        return number


class Number(click.ParamType):  # type: ignore[type-arg] # the same
    """A finite number from `low` to `high` in plain digits, such as 0.5 or 1e-3."""

    name = "number"

    def __init__(self, *, low: float = -math.inf, high: float = math.inf) -> None:
        self.low = low
        self.high = high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; a click error names what was got and what was expected."""
        text = str(value)
        number = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not self.low <= number <= self.high or number == math.inf:
            least = "" if self.low == -math.inf else f" of at least {self.low:g}"
            least += "" if self.high == math.inf else f" and at most {self.high:g}"
            self.fail(f"{_short(text)} is no number{least}, such as 0.5.", param, ctx)
        return number


class RunPlace(click.ParamType):  # type: ignore[type-arg] # the same
    """Where a run is: a folder, or an address such as s3://bucket/run; a Path or a RunUrl."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The place. Raises UsageError for what begins as an address does and is none."""
        from ft_eval.store.remote.url import parse_place

        return parse_place(str(value))


def one_line(text: str) -> str:
    """The text on one line, without control characters: names of files and tasks come from outside."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 2 * _MAX_LINE]).split())
    return line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}…"


def _short(text: str) -> str:
    return repr(text) if len(text) <= 40 else f"{text[:30]!r} and {len(text) - 30} characters more"


def parse_names(values: Sequence[str]) -> tuple[str, ...]:
    """Names given with commas, repeated flags, or both, in order, each once.

    >>> parse_names(["gsm8k,mmlu", "gsm8k"])
    ('gsm8k', 'mmlu')
    """
    return tuple(dict.fromkeys(part.strip() for value in values for part in value.split(",") if part.strip()))


def parse_limit(text: str | None) -> float | None:
    """`--limit`: a number of documents, or a share of them below 1, as in lm-eval.

    Raises:
        UsageError: it is neither.
    """
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text, flags=re.ASCII):
        raise UsageError(f"--limit {text}: expected a number of documents, such as 20, or a share below 1, such as 0.1")
    value = float(text)
    if value <= 0:
        raise UsageError(f"--limit {text}: no documents would be left; it must be at least 1, or a share above 0")
    if value >= 1 and not value.is_integer():
        raise UsageError(f"--limit {text}: above 1 it counts documents, so it must be a whole number")
    return value


def parse_batch_size(text: str) -> int | None:
    """`--batch-size`: a number of rows, or None for auto.

    Raises:
        UsageError: it is neither.
    """
    if text == "auto":
        return None
    if not re.fullmatch(r"[0-9]{1,6}", text, flags=re.ASCII) or int(text) == 0:
        raise UsageError(f"--batch-size {text}: expected auto or a number of at least 1")
    return int(text)
