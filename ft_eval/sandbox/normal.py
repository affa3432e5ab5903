"""When two wire texts are equal: as Python's == has it on plain data, without asking the data.

The *normal* tree of a value merges what compares equal (True, 1, 1.0, Fraction(1); a subclass and its base; set and
frozenset) and sorts sets and dicts. Two values are equal exactly when their normal texts are. So foreign values are
sorted and compared as strings: none is hashed, called, or asked for its opinion. A value that equals nothing (NaN, an
opaque object) has no normal text. Used on both sides of the wall: in the box for the digests of long answers.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from hashlib import sha256
from math import hypot, inf, isfinite, isinf, isnan
from struct import pack
from typing import Any

from ft_eval.sandbox.wire import MAX_DEPTH, Tree, WireError, are_small, dumps

PIECE = 1 << 16
"""Elements of a long list or tuple that are digested at a time."""
_NUMBERS = frozenset({bool, int, float})
_EXACT = 2.0**53
_MINUS_ZERO = pack("<d", -0.0)
_LONGEST_PART = 100
"""Characters of an element's or a key's text that stand for themselves."""
_FRACTION_DIGITS = 1 << 14
"""Hexadecimal digits in a numerator or denominator: reducing a fraction takes the square of that."""


class _EqualsNothingError(Exception):
    """A value that is not even equal to itself, or that the wire cannot carry."""


def normal_text(tree: Tree) -> str | None:
    """The text that equal values share, or None for a value that equals nothing. Raises WireError for a bad tree."""
    try:
        return dumps(_normal(tree, 0))
    except _EqualsNothingError:
        return None


def normal_digest(tree: Tree) -> str | None:
    """sha256, hexadecimal, that equal values share and others do not; None for a value that equals nothing.

    Over the normal text; but a string goes in as UTF-8, and a list or tuple by pieces of PIECE elements: one of nothing
    but numbers as doubles where that loses nothing, in a third of the time of their text.
    """
    try:
        normal = _normal(tree, 0)
    except _EqualsNothingError:
        return None
    if isinstance(normal, str):
        return text_digest(normal)
    if not isinstance(normal, list) or normal[0] not in ("l", "t"):
        return sha256(dumps(normal).encode("ascii")).hexdigest()
    digest = SequenceDigest(str(normal[0]))
    for start in range(1, len(normal), PIECE):
        digest.add(piece_bytes(normal[start : start + PIECE]))
    return digest.hexdigest()


def normal_tree(tree: Tree) -> Tree:
    """The tree that equal values share; None for a value that equals nothing, and for None. Raises WireError."""
    try:
        return _normal(tree, 0)
    except _EqualsNothingError:
        return None


def entries(parts: list[Tree]) -> list[tuple[str, Tree]] | None:
    """What a dict holds, given as its keys and values by turns: normal texts of its keys, sorted, each with its value.

    None where some key equals nothing. Raises WireError for a bad tree.
    """
    try:
        return _entries(parts, 0)
    except _EqualsNothingError:
        return None


def piece_bytes(items: list[Tree]) -> bytes:
    """What a digest takes in of some elements, given as normal trees."""
    return packed_numbers(items) or dumps(items)[1:-1].encode("ascii")


def text_digest(text: str) -> str:
    """The digest of a string."""
    digest = sha256(b"s")
    digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


class SequenceDigest:
    """The digest of a list (tag l) or tuple (t), fed in pieces of PIECE elements; the last may be shorter."""

    def __init__(self, tag: str) -> None:
        self._hash = sha256(f'["{tag}"'.encode("ascii"))

    def add(self, piece: bytes) -> None:
        """Go on by a piece: what `piece_bytes` makes of its elements."""
        self._hash.update(b",")
        self._hash.update(piece)

    def hexdigest(self) -> str:
        """Of all pieces."""
        self._hash.update(b"]")
        return self._hash.hexdigest()


def packed_numbers(items: Sequence[Any]) -> bytes | None:
    """Bools, ints and floats as doubles, equal where the numbers are; None where there is something else or larger.

    No method of an element is called: a subclass counts as something else.
    """
    if not items or not _NUMBERS.issuperset(map(type, items)) or not _are_exact(items):
        return None
    form = f"<{len(items)}d"
    packed = pack(form, *items)
    if _MINUS_ZERO in packed:  # there, or by chance across two numbers
        packed = pack(form, *[number + 0.0 for number in items])
    return b"#%d:" % len(items) + packed


def _are_exact(numbers: Sequence[float]) -> bool:
    """Whether all are finite and below 2^53 in size, so that a double holds each."""
    try:
        if hypot(*numbers) < _EXACT:
            return True
    except OverflowError:  # an int beyond all doubles
        return False
    return all(-_EXACT < number < _EXACT for number in numbers)


def distinct(texts: Iterable[str]) -> list[str]:
    """Sorted and without repeats, by comparison alone: no hash that foreign data could aim at."""
    ordered = sorted(texts)
    return [text for index, text in enumerate(ordered) if index == 0 or text != ordered[index - 1]]


def number_value(tree: Tree) -> int | float | Fraction | None:
    """The plain number under the tree (subclasses included, NaN and infinities too), or None for anything else."""
    plain = strip(tree)
    if isinstance(plain, int | float):
        return plain
    match plain:
        case ["i", str(digits)]:
            return _from_hex(digits, len(digits))
        case ["f", "nan" | "inf" | "-inf" as name]:
            return float(name)
        case ["q", str(numerator), str(denominator)]:
            return Fraction(_from_hex(numerator), _from_hex(denominator) or 1)
    return None


def strip(tree: Tree) -> Tree:
    """The tree under its subclass tags."""
    for _ in range(MAX_DEPTH):
        if not (isinstance(tree, list) and len(tree) == 3 and tree[0] == "x"):
            return tree
        tree = tree[2]
    raise WireError("nested too deeply")


def _normal(tree: Tree, depth: int) -> Tree:
    if depth > MAX_DEPTH + 2:
        raise WireError("nested too deeply")
    if not isinstance(tree, list):
        return _normal_scalar(tree)
    match tree:
        case ["l" | "t" as tag, *rest]:
            return [tag, *_normal_items(rest, depth)]
        case ["s", *rest]:
            return ["s", *distinct(_part_text(item, depth) for item in rest)]
        case ["d", *rest]:
            return ["d", *_normal_pairs(rest, depth)]
        case ["x", str(), inner]:
            return _normal(inner, depth + 1)
        case ["k", str(kind), *rest]:
            tree = ["k", kind, *_normal_items(rest, depth)]
        case _:
            tree = _normal_leaf(tree)
    return tree


def _normal_scalar(scalar: Tree) -> Tree:
    """Booleans and integral floats become ints, so that True, 1 and 1.0 are one."""
    if isinstance(scalar, bool):
        return int(scalar)
    if isinstance(scalar, float):
        return _normal_float(scalar)
    if isinstance(scalar, int):
        return _normal_int(scalar)
    if scalar is None or isinstance(scalar, str):
        return scalar
    raise WireError(f"a tree holds no {type(scalar).__name__}")


def _normal_float(value: float) -> Tree:
    if isnan(value):
        raise _EqualsNothingError
    if isinf(value):
        return ["f", repr(value)]
    return _normal_int(int(value)) if value.is_integer() else value


def _normal_int(value: int) -> Tree:
    return value if -(1 << 63) <= value < 1 << 63 else ["i", hex(value)]


def _normal_items(items: list[Tree], depth: int) -> list[Tree]:
    kinds = set(map(type, items))
    if kinds <= {str}:
        return items
    if kinds <= {int, float} and are_small(items):
        return [item if type(item) is int or not item.is_integer() else int(item) for item in items]
    return [_normal(item, depth + 1) for item in items]


def _normal_pairs(parts: list[Tree], depth: int) -> list[Tree]:
    """Keys (as text) and values by turns, sorted by key."""
    return [part for key, value in _entries(parts, depth) for part in (key, _normal(value, depth + 1))]


def _part_text(tree: Tree, depth: int) -> str:
    """The normal text of an element or a key, or its hash: a text in a text in a text would double each time."""
    text = dumps(_normal(tree, depth + 1))
    return text if len(text) <= _LONGEST_PART else f"#{sha256(text.encode('ascii')).hexdigest()}"


def _entries(parts: list[Tree], depth: int) -> list[tuple[str, Tree]]:
    """Key texts and values, sorted by key; of equal keys the last one counts, as in a dict."""
    if len(parts) % 2:
        raise WireError("a dict with a key and no value")
    keys = [_part_text(key, depth) for key in parts[::2]]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    last = [n for place, n in enumerate(order) if place + 1 == len(order) or keys[order[place + 1]] != keys[n]]
    return [(keys[n], parts[2 * n + 1]) for n in last]


def _normal_leaf(tree: list[Tree]) -> Tree:
    match tree:
        case ["i", str(digits)]:
            return _normal_int(_from_hex(digits, len(digits)))
        case ["f", "nan"] | ["o" | "e", *_]:
            raise _EqualsNothingError
        case ["f", "inf" | "-inf"] | ["b" | "u", str()]:
            return tree
        case ["c", real, imag]:
            parts = [_normal_part(real), _normal_part(imag)]
            return parts[0] if parts[1] == 0 else ["c", *parts]
        case ["q", str(numerator), str(denominator)]:
            return _normal_fraction(_from_hex(numerator), _from_hex(denominator))
    raise WireError("not a tree: no such tag, or other things behind it")


def _normal_part(tree: Tree) -> Tree:
    """The real or imaginary part of a complex number."""
    if isinstance(tree, list) and tree[:1] == ["f"]:
        return _normal_leaf(tree)
    if isinstance(tree, int | float):
        return _normal_scalar(tree)
    raise WireError("a complex number of something else than floats")


def _normal_fraction(numerator: int, denominator: int) -> Tree:
    """An int or a float where one equals the fraction exactly."""
    if denominator <= 0:
        raise WireError("a fraction without a positive denominator")
    value = Fraction(numerator, denominator)
    if value.denominator == 1:
        return _normal_int(value.numerator)
    try:
        nearest = float(value)
    except OverflowError:
        nearest = inf
    if isfinite(nearest) and Fraction(nearest) == value:
        return nearest
    return ["q", hex(value.numerator), hex(value.denominator)]


def _from_hex(digits: str, limit: int = _FRACTION_DIGITS) -> int:
    if len(digits) > limit:
        raise WireError("a number too long")
    try:
        return int(digits, 16)
    except ValueError as error:
        raise WireError("not a hexadecimal number") from error
