"""policy.toml: what a run must show to pass a gate. Strict: a key that is not known is an error, never ignored.

Reads that one file. Numbers are points of 100, or the metric's own unit where it is no share; shares are below 1.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ft_eval.config import key_text, parse_toml, quoted, raise_first
from ft_eval.errors import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is asked of one task or group, or of all of them; None asks nothing."""

    no_worse_than: float | None = None
    """Points that the latent may lose: the 90 % interval must lie above minus this."""
    better_than: float | None = None
    """Points that it must gain: the corrected verdict must be better, and the 95 % interval lie above this."""
    min_score: float | None = None
    """The latent's own score: its 95 % interval must not reach below."""
    max_unscored_share: float | None = None
    """Of the documents, on either side, that could not be scored."""

    def __or__(self, other: "Rules") -> "Rules":
        """These rules, and the other's where these ask nothing."""
        mine, theirs = self._asked(), other._asked()
        return Rules(**(theirs | mine))

    def _asked(self) -> dict[str, float]:
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A whole policy.toml."""

    primary: tuple[str, ...] = ()
    """The family that p values are corrected for; empty: what the run declared."""
    margin_points: float | None = None
    latents: tuple[str, ...] = ()
    """Names of the latent checkpoints that are held to the rules; empty: all but control arms."""
    allow_limit: bool = False
    """Whether runs of the first documents alone (`--limit`) can pass."""
    everywhere: Rules
    """On all primary tasks."""
    tasks: Mapping[str, Rules]
    """By task or group; what they don't say is as everywhere."""
    path: Path


@dataclass(frozen=True, slots=True)
class _Key:
    """One key: what it must be, in words and as a test."""

    expected: str
    is_valid: Callable[[Any], bool]


def _is_number(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and least <= value <= most


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)


_POINTS = _Key("points of 100, 0 or more", lambda value: _is_number(value, 0.0, 1e9))
_RULES: Mapping[str, _Key] = {
    "no_worse_than": _POINTS,
    "better_than": _POINTS,
    "min_score": _Key("a score in points of 100", lambda value: _is_number(value, -1e9, 1e9)),
    "max_unscored_share": _Key("a share from 0 to 1", lambda value: _is_number(value, 0.0, 1.0)),
}
_TOP: Mapping[str, _Key] = {
    "primary": _Key("a list of task names", _is_names),
    "margin": _Key("points above 0 and below 100", lambda value: _is_number(value, 1e-9, 99.999)),
    "latents": _Key("a list of checkpoint names", _is_names),
    "allow_limit": _Key("true or false", lambda value: type(value) is bool),
}
_TABLES = ("all", "tasks")


def load_policy(path: Path) -> Policy:
    """Read a policy.toml.

    Raises:
        ConfigError: The file is absent or no TOML (with its line), or anything in it is off: the first problem is
            named with its key, the others are counted.
    """
    table = parse_toml(path, kind="policy.toml", example="the one in docs/gate.md")
    raise_first(path, _problems(table))
    margin = table.get("margin")
    return Policy(
        primary=tuple(table.get("primary", ())),
        margin_points=None if margin is None else float(margin),
        latents=tuple(table.get("latents", ())),
        allow_limit=table.get("allow_limit", False),
        everywhere=_rules(table.get("all", {})),
        tasks={name: _rules(rules) for name, rules in table.get("tasks", {}).items()},
        path=path,
    )


def _rules(table: Mapping[str, Any]) -> Rules:
    return Rules(**{name: float(value) for name, value in table.items()})


def _problems(table: Mapping[str, Any]) -> Iterator[str]:
    yield from _table_problems("", {k: v for k, v in table.items() if k not in _TABLES}, _TOP)
    yield from _table_problems("all", table.get("all", {}), _RULES)
    tasks = table.get("tasks", {})
    if not isinstance(tasks, dict):
        yield f"tasks: got {quoted(tasks)}, expected tables such as [tasks.gsm8k]"
        return
    for name, rules in tasks.items():
        yield from _table_problems(f"tasks.{key_text(name)}", rules, _RULES)
    if not any(rules for rules in (table.get("all"), *tasks.values())):
        yield "no rule; add one such as no_worse_than = 1.0 under [all] or [tasks.NAME]"


def _table_problems(where: str, table: object, keys: Mapping[str, _Key]) -> Iterator[str]:
    if not isinstance(table, dict):
        yield f"{where}: got {quoted(table)}, expected a table [{where}]"
        return
    prefix = f"{where}." if where else ""
    for key, value in table.items():
        if key not in keys:
            known = keys if where else (*keys, *_TABLES)
            yield f"unknown key {prefix}{key_text(key)}{did_you_mean(key, known)}"
        elif not keys[key].is_valid(value):
            yield f"{prefix}{key}: got {quoted(value)}, expected {keys[key].expected}"
