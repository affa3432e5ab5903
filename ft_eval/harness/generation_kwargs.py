"""What a task's `generation_kwargs` may hold: names, types and ranges. Decodes nothing; knows no model."""

from collections.abc import Callable, Mapping
from typing import Any

from ft_eval.errors import TaskError, did_you_mean


def check_generation_kwargs(gen_kwargs: Mapping[str, Any]) -> None:
    """Hold a task's `generation_kwargs` to their names, types and ranges; null counts as absent.

    Raises:
        TaskError: one is off; it is named, with what was got and what was expected.
    """
    for key, value in gen_kwargs.items():
        name = key if isinstance(key, str) else _short(key)
        if name not in _GENERATION_KWARGS:
            near, known = did_you_mean(name, _GENERATION_KWARGS), ", ".join(sorted(_GENERATION_KWARGS))
            raise TaskError(f"generation_kwargs has {name}, which this backend does not have{near}; it has {known}")
        expected, is_valid = _GENERATION_KWARGS[name]
        if value is not None and not is_valid(value):
            raise TaskError(f"generation_kwargs: {name} is {_short(value)}, expected {expected}")
    if gen_kwargs.get("do_sample") and not (temperature := gen_kwargs.get("temperature")):
        got = "there is no temperature" if temperature is None else "temperature is 0"
        raise TaskError(f"generation_kwargs: do_sample is true and {got}; sampling needs one above 0")


def _is_count(value: object) -> bool:
    return type(value) is int and 1 <= value < 2**31


def _is_number(value: object, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value <= high  # type: ignore[operator] # it is a number


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_TOKENS = ("a whole number of tokens, 1 or more", _is_count)
_GENERATION_KWARGS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "until": (
        "a stop string or a list of them",
        lambda value: isinstance(value, str) or (isinstance(value, list) and all(isinstance(i, str) for i in value)),
    ),
    **dict.fromkeys(("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"), _TOKENS),
    "do_sample": ("true or false", lambda value: isinstance(value, bool)),
    "temperature": ("0 (greedy) or a positive number", lambda value: _is_number(value, 0.0, 1e6)),
    "top_p": ("a number above 0 and at most 1", lambda value: value != 0 and _is_number(value, 0.0, 1.0)),
    "top_k": ("a whole number, 0 for all", lambda value: type(value) is int and 0 <= value < 2**31),
}
"""Per parameter of a task, what it must be, in words and as a test."""
