"""The wire carries plain data there and back, and refuses everything it would not have written."""

import enum
import math
from collections import ChainMap, Counter, OrderedDict, UserDict, UserString, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings

from ft_eval.sandbox import plain
from ft_eval.sandbox.normal import normal_text
from ft_eval.sandbox.wire import MAX_DEPTH, WireError, encode, from_tree, parse, to_tree
from tests.sandbox.values import VALUES

Point = namedtuple("Point", "x y")  # noqa: PYI024 (the kind of tuple that programs return)


class Number(enum.IntEnum):
    ONE = 1


class Liar(int):
    """An int that lies about itself."""

    def __eq__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "42"

    __hash__ = int.__hash__


@settings(deadline=None)
@given(VALUES)
def test_plain_values_come_back_as_they_were(value: object) -> None:
    back = from_tree(parse(encode(value)))
    assert back == value
    assert repr(type(back)) == repr(type(value))


@settings(deadline=None)
@given(VALUES, VALUES)
def test_two_values_are_equal_exactly_when_their_normal_texts_are(left: object, right: object) -> None:
    assert (normal_text(to_tree(left)) == normal_text(to_tree(right))) == (left == right)


@settings(deadline=None)
@given(VALUES)
def test_a_value_equals_itself_after_the_journey(value: object) -> None:
    assert normal_text(parse(encode(value))) == normal_text(to_tree(value))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (True, 1),
        (1, 1.0),
        (0.0, -0.0),
        (1 << 70, float(1 << 70)),
        (Fraction(1, 2), 0.5),
        (Fraction(4, 2), 2),
        (Decimal("2.50"), 2.5),
        (3 + 0j, 3),
        (frozenset({1, 2}), {2.0, 1}),
        (bytearray(b"ab"), b"ab"),
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int, a=1), {"a": True}),
        (Point(1, 2), (1, 2)),
        (Number.ONE, 1),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(1), True),
        ([np.float64(1.5)], [1.5]),
        (np.longdouble(5), 5),
        (np.longdouble(0.1), 0.1),
        (np.longdouble("inf"), math.inf),
        (np.array([5]), 5),
        (np.array(0.5), 0.5),
        ({1: 2}.keys(), {1}),
        (OrderedDict({1: 2}).keys(), {1}),
        ({1: 2}.items(), {(1, 2)}),
        (Liar(7), 7),
        (range(0, 5, 2), range(0, 6, 2)),
        (range(5, 5), range(0)),
        (deque([1, 2.0], maxlen=3), deque([True, 2])),
        (np.clongdouble(1 + 2j), 1 + 2j),
        (np.array([None]), None),
        (ChainMap({"a": 1}, {"b": 2}), {"a": 1, "b": 2}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (UserDict(a=1), {"a": 1}),
        (UserString("a"), "a"),
    ],
)
def test_values_that_python_calls_equal_are_equal(left: object, right: object) -> None:
    assert normal_text(parse(encode(left))) == normal_text(parse(encode(right)))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([1], (1,)),
        ("1", 1),
        ([], None),
        ({}, set()),
        (Fraction(1, 3), 1 / 3),
        (0.1 + 0.2, 0.3),
        (1 << 70, (1 << 70) + 1),
        ("\ud83d\ude00", "\U0001f600"),
        (b"ab", "ab"),
        (Liar(7), 42),
        (range(2), [0, 1]),
        (range(2), range(3)),
        (range(0, 4, 2), range(0, 4, 3)),
        (deque([1]), [1]),
        (deque([1, 2]), deque([2, 1])),
        (deque(), range(0)),
        (1 + 2j, 1),
        ({1: 2}.items(), {1: 2}),
        (np.longdouble(1) + np.finfo(np.longdouble).eps, 1),
    ],
)
def test_values_that_python_calls_different_are_different(left: object, right: object) -> None:
    assert normal_text(parse(encode(left))) != normal_text(parse(encode(right)))


class NoScalar:
    """Says what NumPy's scalars say, and is none."""

    __module__ = "numpy"
    dtype = None

    def item(self) -> int:
        return 5


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        [math.nan],
        {"a": math.nan},
        object(),
        print,
        iter([1]),
        Decimal("sNaN"),
        NoScalar(),
        np.array([1, 2]),
        np.array([]),
        [np.array([[1, 2]])],
        np.longdouble("nan"),
        np.datetime64("2020-01-01"),
        np.void(b"ab"),
        np.clongdouble(1) * np.longdouble("0.1"),
        deque([math.nan]),
        {1: [2]}.items(),
    ],
)
def test_what_equals_nothing_has_no_normal_text(value: object) -> None:
    assert normal_text(parse(encode(value))) is None


def test_without_numpy_there_are_no_arrays_and_no_scalars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_MODULES", {})
    assert [to_tree(value)[0] for value in (np.int64(3), np.array([3]))] == ["o", "o"]


def test_sets_in_sets_and_keys_in_keys_have_a_text_no_longer_than_one_of_them() -> None:
    deep: object = "a"
    other: object = "b"
    for _ in range(MAX_DEPTH // 4):
        deep, other = frozenset({(deep, 1), 2}), frozenset({(other, 1), 2})
    texts = [normal_text(to_tree(value)) for value in (deep, other, {deep: 1}, {other: 1})]
    assert len(set(texts)) == 4
    assert all(text is not None and len(text) < 500 for text in texts)


def test_nesting_has_a_bottom() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert normal_text(parse(encode(loop))) is None
    deep: object = 1
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert from_tree(parse(encode(deep))) == deep


@pytest.mark.parametrize("opening", [b'["s",', b'["d",', b'["d",1,'])
def test_sets_and_dicts_within_each_other_have_hardly_longer_texts_than_themselves(opening: bytes) -> None:
    text = opening * 90 + b'"x"' + (b"]" if opening != b'["d",' else b",1]") * 90
    assert 0 < len(normal_text(parse(text)) or "") < 2 * len(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b"NaN",
        b"Infinity",
        b"[" * 100_000,
        b"1" * 10_000,
        b"[1] 2",
        b'"' + "é".encode() + b'"',
    ],
)
def test_text_that_is_none_of_ours_is_refused(text: bytes) -> None:
    with pytest.raises(WireError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1}',
        b"[]",
        b"[1]",
        b'["z",1]',
        b'["i",5]',
        b'["i","xyz"]',
        b'["i"]',
        b'["f","1e5"]',
        b'["d",1]',
        b'["q","0x1","0x0"]',
        b'["q","0x' + b"f" * 30_000 + b'","0x3"]',
        b'["c","a",1]',
        b'["c",["l"],1]',
        b'["x",1]',
        b'["x",["l"],1]',
        b'["l",{"a":1}]',
        b'["b",["l"]]',
        b'[["l"],1]',
        b'["k"]',
        b'["k",1,2]',
        b'["l",' * 150 + b"1" + b"]" * 150,
        b'["x","a",' * 150 + b"1" + b"]" * 150,
    ],
)
def test_trees_that_are_none_of_ours_are_refused(text: bytes) -> None:
    with pytest.raises(WireError):
        normal_text(parse(text))
