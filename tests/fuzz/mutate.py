"""Changes of a file that keep its form: a value of its JSON, TOML or YAML becomes another, goes, comes twice, moves.

A fuzzer's blind changes rarely get past a parser; these nearly always do. Knows forms and no target.
"""

import gzip
import json
import tomllib
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import yaml

Mutator = Callable[[bytes, Random], bytes]
"""From a file to another; the same bytes where it has no such form."""

_ODD: tuple[Any, ...] = (
    *(0, 1, -1, 2, 7, 2**31, 2**53, 2**53 + 1, 2**63, -(2**63), 10**400, True, False, None),
    *(0.5, -0.0, 1.0, 1e308, 1e-320, {"__float__": "nan"}, {"__float__": "-inf"}, {"__float__": "inf"}),
    *("", " ", "x", "a" * 300, "../x", "/", "\0", "\n", "\ud800", "é", "{{x}}", "%d", "=1+1", "<b>", "nan", "1e5"),
    *([], {}, [[]], [0, 0], ["a", "b"], {"": 0}, {"a": {"b": 1}}),
)
_MAX_BYTES = 2**20
_MAX_PLACES = 2000


_BITS = (
    *(b"", b'"', b"{", b"[", b"}", b"]", b"\\ud800", b"\0", b"1e999", b"-1", b"null", b"9" * 30, b"\xff", b"\n"),
    *(b":", b",", b"0", b"\\", b"'", b"#", b"!", b"\xef\xbb\xbf", b"\r", b"NaN", b"[" * 900),
)


def anywhere(data: bytes, rng: Random) -> bytes:
    """A few places of a file, whatever it is, overwritten, cut out or put in."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.randrange(len(data) + 1)
        stop = min(len(data), start + rng.choice((0, 0, 1, 1, 2, 8, 64)))
        put = rng.choice((rng.choice(_BITS), rng.randbytes(1), rng.randbytes(3), data[stop:start:-1][:16]))
        data = data[:start] + put + data[stop:]
    return data


def in_json(data: bytes, rng: Random) -> bytes:
    """A file that is one JSON value."""
    return _one_line(data, rng) or data


def in_lines(data: bytes, rng: Random) -> bytes:
    """JSON lines, some of which may wait for their checksum (`!` in place of the brace); whole lines change, too."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    kind = rng.randrange(8)
    if kind == 0:
        lines.insert(rng.randrange(len(lines)), lines[at])
    elif kind == 1 and len(lines) > 1:
        del lines[at]
    else:
        lines[at] = _one_line(lines[at], rng) or lines[at]
    return b"\n".join(lines)


def in_toml(data: bytes, rng: Random) -> bytes:
    """A TOML file."""
    try:
        value = tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return data
    changed = _changed(json.loads(json.dumps(value, default=str)), rng)
    try:
        return _toml(changed).encode("utf-8", "replace") if isinstance(changed, dict) else data
    except RecursionError:
        return data


def in_yaml(data: bytes, rng: Random) -> bytes:
    """A YAML file; it comes back in JSON's form."""
    try:
        value = json.loads(json.dumps(yaml.safe_load(data), default=str))
        return json.dumps(_changed(value, rng), ensure_ascii=False).encode("utf-8", "replace")
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, AttributeError):
        return data


def after(length: int, mutator: Mutator) -> Mutator:
    """Of what comes after the first bytes; those change at times."""

    def mutate(data: bytes, rng: Random) -> bytes:
        head = bytes(rng.randrange(256) for _ in range(length)) if rng.randrange(16) == 0 else data[:length]
        return head + mutator(data[length:], rng)

    return mutate


def around(border: bytes, mutator: Mutator) -> Mutator:
    """Of the part before a border, or of that after it."""

    def mutate(data: bytes, rng: Random) -> bytes:
        parts = data.split(border, 1)
        at = rng.randrange(len(parts))
        parts[at] = mutator(parts[at], rng)
        return border.join(parts)

    return mutate


def unpacked(mutator: Mutator) -> Mutator:
    """Of what is gzipped, where it is."""

    def mutate(data: bytes, rng: Random) -> bytes:
        if not data.startswith(b"\x1f\x8b"):
            return mutator(data, rng)
        try:
            text = zlib.decompressobj(31).decompress(data, _MAX_BYTES)
        except zlib.error:
            return data
        return gzip.compress(mutator(text, rng), mtime=0)

    return mutate


def _one_line(line: bytes, rng: Random) -> bytes | None:
    """A line of JSON with something changed; None where it is none."""
    mark, body = (b"!", b"{" + line[1:]) if line[:1] == b"!" and line[1:2] == b'"' else (b"", line)
    try:
        changed = json.dumps(_changed(json.loads(body), rng), separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return None
    return mark + changed[1:] if mark and changed[:1] == b"{" else changed


def _changed(value: Any, rng: Random) -> Any:
    """The value with one to three of its places changed; it is changed itself, too."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = _places(value)
        if len(places) > _MAX_PLACES:  # it has grown by itself
            return _odd(rng)
        if not places:
            return _odd(rng)
        _change(places, rng)
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container with each of its keys or positions, at any depth."""
    found, todo = [], [value]
    while todo:
        container = todo.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container)) if _is_list(container) else ()
        found += [(container, key) for key in keys]
        todo += [container[key] for key in keys]
    return found


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _change(places: list[tuple[Any, Any]], rng: Random) -> None:
    container, key = rng.choice(places)
    kind = rng.randrange(10)
    if kind < 4:
        container[key] = _near(container[key], rng)
    elif kind < 7:
        container[key] = _odd(rng)
    elif kind == 7:
        del container[key]
    elif kind == 8:
        _double(container, key)
    else:
        other, place = rng.choice(places)
        container[key] = _copied(other[place])


def _odd(rng: Random) -> Any:
    """A copy: what is changed in one file is not to be in the next."""
    return _copied(rng.choice(_ODD))


def _near(value: Any, rng: Random) -> Any:
    """A value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return rng.choice((value + 1, value - 1, -value, value * 2, 0, value // 2, 1.5))
    if isinstance(value, str):
        return rng.choice((value[:-1], value + "x", value.upper(), value[::-1], value * 2, value[1:]))
    if isinstance(value, list):
        return rng.choice((value[::-1], _copied(value) * 2, value[:1], []))
    if isinstance(value, dict):
        return dict(list(value.items())[: rng.randrange(len(value) + 1)])
    return _odd(rng)


def _double(container: Any, key: Any) -> None:
    if isinstance(container, dict):
        container[f"{key}_"] = _copied(container[key])
    else:
        container.insert(key, _copied(container[key]))


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _toml(value: dict[str, Any]) -> str:
    """Tables of the first two depths by their headings, what lies deeper in braces."""
    lines = [f"{json.dumps(key)} = {_toml_value(item)}" for key, item in value.items() if not isinstance(item, dict)]
    for key, table in value.items():
        if not isinstance(table, dict):
            continue
        for name, item in table.items():
            if isinstance(item, dict):
                lines += [f"[{json.dumps(key)}.{json.dumps(name)}]"]
                lines += [f"{json.dumps(inner)} = {_toml_value(deeper)}" for inner, deeper in item.items()]
            else:
                lines += [f"[{json.dumps(key)}]", f"{json.dumps(name)} = {_toml_value(item)}"]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return '""' if value is None else json.dumps(value, ensure_ascii=False).replace("\x7f", "")
