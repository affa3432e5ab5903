"""The wire carries plain data there and back, and refuses everything it would not have written."""

import enum
import math
from collections import Counter, OrderedDict, defaultdict, namedtuple
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_eval.sandbox import wire
from ft_eval.sandbox.box.long_digest import is_long, long_digest
from ft_eval.sandbox.normal import normal_digest, normal_text
from ft_eval.sandbox.wire import MAX_DEPTH, WireError, encode, from_tree, parse, to_tree

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(1 << 80), max_value=1 << 80)
    | st.floats(allow_nan=False)
    | st.integers(min_value=-5, max_value=5).map(float)
    | st.text(st.characters(exclude_categories=[]), max_size=5)
    | st.complex_numbers(allow_nan=False, allow_infinity=False)
    | st.binary(max_size=4)
)
HASHABLE = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.tuples(inner), max_leaves=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(HASHABLE, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=4)
    ),
    max_leaves=12,
)
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
        {1: [2]}.items(),
    ],
)
def test_what_equals_nothing_has_no_normal_text(value: object) -> None:
    assert normal_text(parse(encode(value))) is None


def test_without_numpy_there_are_no_arrays_and_no_scalars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_MODULES", {})
    assert [to_tree(value)[0] for value in (np.int64(3), np.array([3]))] == ["o", "o"]


def test_nesting_has_a_bottom() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert normal_text(parse(encode(loop))) is None
    deep: object = 1
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert from_tree(parse(encode(deep))) == deep


@pytest.mark.parametrize("opening", [b'["s",', b'["d",', b'["d",1,'])
def test_sets_and_dicts_within_each_other_have_no_longer_text_than_themselves(opening: bytes) -> None:
    text = opening * 90 + b'"x"' + (b"]" if opening != b'["d",' else b",1]") * 90
    assert len(normal_text(parse(text)) or "") == len(text)


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
        b'["l",' * 150 + b"1" + b"]" * 150,
        b'["x","a",' * 150 + b"1" + b"]" * 150,
    ],
)
def test_trees_that_are_none_of_ours_are_refused(text: bytes) -> None:
    with pytest.raises(WireError):
        normal_text(parse(text))


@settings(deadline=None)
@given(st.lists(VALUES, max_size=8), st.booleans())
def test_a_long_digest_is_the_digest_of_the_whole_tree(values: list[object], as_tuple: bool) -> None:
    value = tuple(values) if as_tuple else values
    assert long_digest(value) == normal_digest(to_tree(value))


def test_a_long_digest_is_the_same_over_many_pieces() -> None:
    value = [(n % 7, "ab", 0.5 * n, None, True) for n in range(66_000)] + [float(n) for n in range(66_000)]
    assert long_digest(value) == normal_digest(to_tree(value))
    assert long_digest([*value, math.nan]) is None


NUMBERS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(
        [0.0, -0.0, 2**53, 2.0**53, 2**53 - 1, 1 - 2**53, -(2**53) - 1, 2**53 + 1, 1e300, 10**400, math.inf]
    ),
    st.sampled_from([Fraction(1, 2), Fraction(3), Decimal("0.5"), Decimal(2**53)]),
)


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=6), st.lists(NUMBERS, min_size=1, max_size=6))
def test_digests_of_numbers_are_equal_exactly_where_the_lists_are(left: list[object], right: list[object]) -> None:
    digests = [long_digest(left), long_digest(right)]
    assert digests == [normal_digest(to_tree(left)), normal_digest(to_tree(right))]
    equal_nothing = [any(number != number for number in numbers) for numbers in (left, right)]  # noqa: PLR0124 — a NaN
    assert [digest is None for digest in digests] == equal_nothing
    assert any(equal_nothing) or (digests[0] == digests[1]) == (left == right)


@pytest.mark.parametrize(
    "twin", [[1.0, 0.0, 2.0], [True, False, 2], [1, -0.0, Fraction(2)], [Decimal(1), 0, 2], [1, 0j, 2]]
)
def test_numbers_that_are_equal_have_one_digest(twin: list[object]) -> None:
    assert long_digest(twin) == long_digest([1, 0, 2]) == normal_digest(to_tree(twin))
    assert long_digest([*[0.5] * 70_000, *twin]) == normal_digest(to_tree([*[0.5] * 70_000, 1, 0, 2]))


def test_kinds_length_and_order_tell_digests_apart() -> None:
    values = [[1, 2], (1, 2), [2, 1], [1, 2, 0], [[1, 2]], "12", ["1", "2"], "", [], (), [""], "#2:", [0.1, 0.2]]
    assert len({normal_digest(to_tree(value)) for value in values}) == len(values)


@pytest.mark.parametrize("text", ["a" * 10, "é😀", "\ud800 alone", '\x00\n"', ""])
def test_a_strings_digest_is_that_of_its_tree(text: str) -> None:
    assert long_digest(text) == normal_digest(to_tree(text)) != normal_digest(to_tree(f"{text} "))


def test_what_is_called_long_is_long() -> None:
    for value in ([1] * 40_000, [(1, 2)] * 20_000, ["a" * 70_000], [[1] * 70_000], [], 5, "a" * 100_000):
        if is_long(value, 65_536):
            assert len(encode(value)) > 65_536
    assert is_long([0] * 100_000, 65_536)
