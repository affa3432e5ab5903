"""checkpoints.toml: which checkpoints there are, which are pairs, and which tasks the verdict is about.

Strict: a key that is not known is an error, never ignored. Reads that one file; knows nothing of what is in the
checkpoints' folders.
"""

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ft_eval.errors import ConfigError, did_you_mean
from ft_eval.records import Arm

_MAX_FILE_BYTES = 2**20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DTYPES = ("float32", "bfloat16", "float16", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointEntry:
    """One `[checkpoints.NAME]` table: what the owner says of a checkpoint before its folder has been read."""

    name: str
    path: Path
    arm: Arm | None = None
    """None where the file leaves it to the folder's config.json."""
    """As given, below the file's own folder where it is relative."""
    baseline: str | None = None
    dtype: str | None = None
    """None where the file leaves it to the folder's config.json."""
    training_tokens: int | None = None
    step: int | None = None
    kappa_bits: float | None = None
    """The free bits κ of its training, in bits per token."""
    adapter: str | None = None
    """The class that runs it, as module:Class or an entry point's name; None finds its layout out."""
    training_run: str | None = None
    """The recipe whose training it is a moment of: checkpoints of one are points of one curve."""
    training_seed: int | None = None
    """Which training of that recipe, where there are several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointsFile:
    """A whole checkpoints.toml."""

    checkpoints: Mapping[str, CheckpointEntry]
    """By name, in the file's order; at least one."""
    primary: tuple[str, ...] = ()
    """The declared primary family of tasks; empty when none is declared."""
    path: Path


@dataclass(frozen=True, slots=True)
class _Key:
    """One key of a table: what it must be, in words and as a test."""

    expected: str
    is_valid: Callable[[Any], bool]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_int(value: object, least: int) -> bool:
    return type(value) is int and least <= value < 2**63


def _is_positive(value: object) -> bool:
    return type(value) is not bool and isinstance(value, int | float) and 0 < value < 2**53


_KEYS: Mapping[str, _Key] = {
    "path": _Key("the path of a checkpoint folder", lambda value: _is_text(value) and "\0" not in value),
    "arm": _Key('"baseline" or "latent"', lambda value: value in tuple(Arm)),
    "baseline": _Key("the name of another entry", _is_text),
    "dtype": _Key(f"one of {', '.join(_DTYPES)}", lambda value: value in _DTYPES),
    "training_tokens": _Key("a whole number of tokens, 1 or more", lambda value: _is_int(value, 1)),
    "step": _Key("a whole number, 0 or more", lambda value: _is_int(value, 0)),
    "kappa_bits": _Key("a number of bits above 0", _is_positive),
    "adapter": _Key("a model class as module:Class, or the name of an entry point", _is_text),
    "training_run": _Key("a name for the training that it is a moment of", _is_text),
    "training_seed": _Key("a whole number, 0 or more", lambda value: _is_int(value, 0)),
}


def load_checkpoints(path: Path) -> CheckpointsFile:
    """Read a checkpoints.toml.

    Raises:
        ConfigError: The file is absent or no TOML (with its line), or anything in it is off: the first problem is
            named with its key, the others are counted.
    """
    table = parse_toml(path, kind="checkpoints.toml", example="checkpoints.example.toml")
    raise_first(path, _problems(table))
    entries = {name: _entry(name, entry, path.parent) for name, entry in table["checkpoints"].items()}
    raise_first(path, _pair_problems(entries))
    return CheckpointsFile(checkpoints=entries, primary=tuple(table.get("primary", ())), path=path)


def parse_toml(path: Path, *, kind: str, example: str) -> dict[str, Any]:
    """A TOML file of the user's, as plain data.

    Args:
        path: the file.
        kind: what it should be, such as `checkpoints.toml`.
        example: where one is shown.

    Raises:
        ConfigError: it is absent, too large, no UTF-8 or no TOML (with its line).
    """
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than {_MAX_FILE_BYTES} bytes; this is no {kind}")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: can't read: {error.strerror}; give a TOML file like {example}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8 text") from error
    except RecursionError:
        raise ConfigError(f"{path}: nested too deep; this is no {kind}") from None
    except ValueError as error:
        raise _toml_error(path, str(error)) from error


def _toml_error(path: Path, message: str) -> ConfigError:
    """`file:line: what`, in the words of the file where the parser speaks of tuples."""
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    where = f"{path}:{place.group(1) or 'end'}" if place else str(path)
    what = message[: place.start()] if place else message
    twice = re.fullmatch(r"Cannot declare \((.+?),?\) twice", what)
    if twice:
        name = ".".join(part.strip(" '\"") for part in twice.group(1).split(","))
        return ConfigError(f"{where}: [{name}] is declared twice; give one of them another name")
    if what == "Cannot overwrite a value":
        return ConfigError(f"{where}: this key is set twice; remove one of the two")
    return ConfigError(f"{where}: not TOML: {what}")


def raise_first(path: Path, problems: Iterator[str]) -> None:
    """One line for all problems: the first, and how many more."""
    found = list(problems)
    if found:
        more = f" (and {len(found) - 1} more in this file)" if len(found) > 1 else ""
        raise ConfigError(f"{path}: {found[0]}{more}")


def _problems(table: Mapping[str, Any]) -> Iterator[str]:
    known = ("checkpoints", "primary")
    yield from (f"unknown key {key_text(key)}{did_you_mean(key, known)}" for key in table if key not in known)
    yield from _primary_problems(table.get("primary", []))
    entries = table.get("checkpoints", {})
    if not isinstance(entries, dict):
        yield f"checkpoints: got {entries!r}, expected tables such as [checkpoints.base-1b]"
    elif not entries:
        yield "no checkpoints; add a table such as [checkpoints.base-1b] with its path"
    else:
        for name, entry in entries.items():
            yield from _entry_problems(name, entry)


def _primary_problems(primary: object) -> Iterator[str]:
    if not isinstance(primary, list) or not all(map(_is_text, primary)):
        yield f"primary: got {quoted(primary)}, expected a list of task names"
    elif len(set(primary)) < len(primary):
        twice = next(task for task in primary if primary.count(task) > 1)
        yield f"primary: {quoted(twice)} stands there twice"


def _entry_problems(name: str, entry: object) -> Iterator[str]:
    where = f"checkpoints.{key_text(name)}"
    if not _NAME.fullmatch(name):
        yield f"{where}: a name is 1 to 100 letters, digits, dots, underscores and hyphens, a letter or digit first"
    if not isinstance(entry, dict):
        yield f"{where}: got {quoted(entry)}, expected a table [{where}] with a path"
        return
    for key, value in entry.items():
        if key not in _KEYS:
            yield f"unknown key {where}.{key_text(key)}{_hint(name, key, value)}"
        elif not _KEYS[key].is_valid(value):
            yield f"{where}.{key}: got {quoted(value)}, expected {_KEYS[key].expected}{_near(key, value)}"
    if "path" not in entry:
        yield f"{where}.path is missing: the checkpoint's folder, relative to this file"


def _hint(name: str, key: str, value: object) -> str:
    """What an unknown key was meant to be: a known one, or the rest of a name with a dot that TOML took apart."""
    if isinstance(value, dict):
        return f'; a name with a dot needs quotes: [checkpoints."{name}.{key}"]' if _NAME.fullmatch(key) else ""
    return did_you_mean(key, _KEYS)


def _near(key: str, value: object) -> str:
    choices: tuple[str, ...] = {"arm": tuple(Arm), "dtype": _DTYPES}.get(key, ())
    return did_you_mean(value, choices) if isinstance(value, str) else ""


def _entry(name: str, table: Mapping[str, Any], folder: Path) -> CheckpointEntry:
    values = dict(table)
    values["path"] = folder / os.path.expanduser(values["path"])  # noqa: PTH111 - Path's raises without a home
    values["arm"] = Arm(values["arm"]) if "arm" in values else None
    if "kappa_bits" in values:
        values["kappa_bits"] = float(values["kappa_bits"])
    return CheckpointEntry(name=name, **values)


def _pair_problems(entries: Mapping[str, CheckpointEntry]) -> Iterator[str]:
    for name, entry in entries.items():
        if entry.arm is Arm.BASELINE and entry.kappa_bits is not None:
            yield f"checkpoints.{name}.kappa_bits: a baseline is trained without free bits; remove it"
        if entry.baseline is not None:
            yield from _baseline_problems(entry, entry.baseline, entries)


def _baseline_problems(entry: CheckpointEntry, baseline: str, entries: Mapping[str, CheckpointEntry]) -> Iterator[str]:
    where = f"checkpoints.{entry.name}.baseline"
    if entry.arm is Arm.BASELINE:
        yield f'{where}: a baseline has no baseline; remove it, or set arm = "latent"'
    if baseline not in entries:
        yield f"{where}: no entry {quoted(baseline)} in this file{did_you_mean(baseline, entries)}"
    elif baseline == entry.name:
        yield f"{where}: names its own entry; name the baseline that it is compared with"
    elif entries[baseline].arm is Arm.LATENT:
        yield f"{where}: {baseline} is a latent checkpoint; name a baseline"


def key_text(key: str) -> str:
    """A key as it is where that is readable, else quoted."""
    return key if _NAME.fullmatch(key) else quoted(key)


def quoted(value: object) -> str:
    """A value as it can stand on one short line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
