"""Parsing of the values that several commands take. Each error says what was got and what was expected."""

import re
from collections.abc import Sequence

from ft_eval.errors import UsageError


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
