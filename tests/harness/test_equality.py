"""An answer is equal to what is expected exactly where Python's own == says so, whatever types it is made of."""

import contextlib
import enum
import math
import warnings
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque, namedtuple
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from itertools import product
from random import Random
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_eval.harness.equality import are_equal
from ft_eval.sandbox.wire import WireError, encode

Point = namedtuple("Point", "x y")  # noqa: PYI024 (the kind of tuple that programs return)


class Level(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    A = "a"


class Ordered(OrderedDict[Any, Any]):
    """An ordered dict by another name."""


def moved() -> OrderedDict[str, int]:
    """An ordered dict whose order is not that in which it was made."""
    value = OrderedDict(a=1, b=1)
    value.move_to_end("a")
    return value


def plain_values() -> list[Any]:
    """What tests expect: values of Python's own types, and the dicts of its library."""
    return [
        *(None, True, False, 0, 1, 5, 2**53 + 1, 16777217, 2**70, 10**400, 0j, 1 + 0j, 0.1 + 0j, 1 + 2j),
        *(
            -0.0,
            0.1,
            0.5,
            1.0,
            5.0,
            2.0**53,
            1e300,
            math.inf,
            -math.inf,
            0.1 + 0.2,
            "",
            "a",
            "ab",
            "\ud800",
            b"",
            b"ab",
        ),
        *((), (1,), (5,), (0.1,), (1, 2), ((1,),), ("a",), [], [1], [0.1], [1, 2], [[5]], [None], ["a"]),
        *({1, 2}, {0.1}, set(), frozenset({1}), {}, {"a": 1}, {"a": 1, "b": 1}, {"a": 0.1}, {0: [0.1]}),
        *(Counter(), Counter("a"), Counter("ab"), OrderedDict(a=1, b=1), OrderedDict(b=1, a=1)),
    ]


def lookalikes() -> list[Any]:
    """What programs return instead."""
    return [
        *(kind(1) for kind in (np.bool_, np.int8, np.uint64, np.float16, np.float32, np.float64, np.longdouble)),
        *(kind(0.1) for kind in (np.float16, np.float32, np.float64, np.longdouble, np.complex64, np.clongdouble)),
        *(np.longdouble("0.1"), np.clongdouble(1 + 2j), np.float32(16777216), np.float16("inf"), np.int64(2**53 + 1)),
        *(
            np.float32("nan"),
            np.str_("a"),
            np.bytes_(b"ab"),
            np.void(b"ab"),
            np.array(5),
            np.array([5]),
            np.array([[1]]),
        ),
        *(np.array([0.1]), np.array([0.1], dtype=np.float32), np.array([1, 2]), np.array([]), np.zeros((0, 3))),
        *(
            Fraction(1, 2),
            Fraction(1, 10),
            Decimal("0.1"),
            Decimal("0.5"),
            Decimal(5),
            Decimal("sNaN"),
            Level.ONE,
            Word.A,
        ),
        *(Point(1, 2), bytearray(b"ab"), defaultdict(int, a=1), ChainMap({"a": 1}, {"b": 1}), UserDict(a=1)),
        *(MappingProxyType({"a": 1}), UserList([1, 2]), UserString("a"), moved(), Ordered(b=1, a=1)),
        *(Counter({"a": 1, "b": 0}), dict.fromkeys((1, 2)).keys(), {1: 2}.items(), {1: 2}.values(), deque([1, 2])),
        *(range(1, 3), iter([1]), math.nan, object(), print),
    ]


def of_own_kind() -> list[Any]:
    """What equals its own kind alone, and values that it might be taken for."""
    return [
        *(deque([1, 2]), deque([1, 2], maxlen=9), deque([2, 1]), deque(), deque([[0.1]]), [1, 2], (), {range(3), 1}),
        *(range(0), range(5, 5), range(3), range(0, 6, 2), range(0, 5, 2), range(1, 2, 5), range(1, 2), range(10**30)),
        *([0, 1, 2], {0: range(3)}, {0: range(0, 3, 2)}),
    ]


PLACES: tuple[Callable[[Any], Any], ...] = (
    lambda value: value,
    lambda value: [value],
    lambda value: (1, (value,)),
    lambda value: {"k": [value, 2]},
    lambda value: OrderedDict(k=value),
)


def says_python(left: Any, right: Any) -> bool:
    """Whether `assert left == right` passes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bool(left == right)
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        return False


def disagreements(lefts: list[Any], rights: list[Any]) -> list[tuple[Any, Any]]:
    """The pairs of which we say something else than Python."""
    pairs = product([(left, encode(left)) for left in lefts], [(right, encode(right)) for right in rights])
    return [
        (left, right) for (left, theirs), (right, ours) in pairs if says_python(left, right) != are_equal(theirs, ours)
    ]


@pytest.mark.parametrize("place", PLACES)
def test_an_answer_of_any_type_equals_a_plain_value_exactly_where_python_says_so(place: Callable[[Any], Any]) -> None:
    given = [place(value) for value in plain_values() + lookalikes()]
    assert disagreements(given, [place(value) for value in plain_values()]) == []


def test_what_equals_its_own_kind_alone_equals_it_exactly_where_python_says_so() -> None:
    assert disagreements(of_own_kind(), of_own_kind()) == []


NUMBERS = st.one_of(
    st.booleans(), st.integers(-3, 3), st.sampled_from([0.1, 0.5, -0.0, 1e-8, 65505, 16777217, 2**53 + 1, 1e300, 2**64])
)
NESTED = st.recursive(
    NUMBERS | st.none() | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=6,
)
DISGUISES: tuple[Callable[[Any], Any], ...] = (
    *(np.float16, np.float32, np.float64, np.longdouble, np.complex64, np.clongdouble, np.int8, np.int64, np.uint64),
    *(
        Fraction,
        Decimal,
        complex,
        float,
        lambda value: np.array([value]),
        lambda value: np.array([value], dtype=np.float32),
    ),
    *(lambda value: value, lambda value: [value], lambda value: (value,), lambda value: value + 1, str),
)


def disguised(value: Any, random: Random) -> Any:
    """The value with each number in it made another way, often an equal one."""
    if isinstance(value, list | tuple):
        return type(value)([disguised(item, random) for item in value])
    if isinstance(value, dict):
        return random.choice([dict, OrderedDict, Counter])(
            {key: disguised(item, random) for key, item in value.items()}
        )
    if not isinstance(value, int | float):
        return value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return random.choice(DISGUISES)(value)
    except (TypeError, ValueError, OverflowError):
        return value


@settings(deadline=None, max_examples=400)
@given(NESTED, st.randoms(use_true_random=False))
def test_numbers_in_disguise_anywhere_in_an_answer_are_equal_exactly_where_python_says_so(
    wanted: Any, random: Random
) -> None:
    got = disguised(wanted, random)
    assert are_equal(encode(got), encode(wanted)) == says_python(got, wanted)


@pytest.mark.parametrize(
    "theirs",
    [
        b'["x","numpy.int64",0.5]',
        b'["x","numpy.float32",["c",1,1]]',
        b'["x","numpy.int8",256]',
        b'["x","numpy.float16",["q","0x1","0x3"]]',
        b'["x","numpy.ndarray",["f","nan"]]',
        b'["x","numpy.float32","1"]',
        b'["x","numpy.float32",["o","a"]]',
        b'["x","numpy.object_",1e-9]',
        b'["l",["x","numpy.int64",0.5]]',
    ],
)
@pytest.mark.parametrize("ours", [0, [0], 1.0, [[0.0]]])
def test_a_forged_number_of_numpys_equals_nothing_that_it_does_not_hold(theirs: bytes, ours: object) -> None:
    with contextlib.suppress(WireError):
        assert not are_equal(theirs, encode(ours))
