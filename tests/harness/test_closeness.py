"""Closeness is of type, shape and numbers, and costs no more than our side of it is long."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from evalplus.eval import is_floats as their_is_floats

from ft_eval.harness.closeness import has_more_parts, is_close, is_floats
from ft_eval.sandbox.wire import encode, parse, to_tree


class Visited(list[Any]):
    """A tree of theirs that must not be looked through."""

    def __iter__(self) -> Any:
        raise AssertionError("their elements were visited")


@pytest.mark.parametrize(
    ("theirs", "ours", "close"),
    [
        ([0.1 + 0.2], [0.3], True),
        ((0.1 + 0.2,), [0.3], False),
        ([0.3, 1], [0.3, 1.0], True),
        ([[0.3], [0.3]], [[0.3, 0.3]], False),
        ([[], []], [[], []], True),
        ([0.3], [[0.3]], False),
        ([[0.3]], [0.3], False),
        ([0.3 + 1e-5], [0.3], False),
    ],
)
def test_close_values_have_one_type_one_shape_and_near_numbers(theirs: object, ours: object, close: bool) -> None:
    assert is_close(to_tree(theirs), to_tree(ours), 1e-6) is close


def test_a_list_of_another_length_is_not_looked_through() -> None:
    assert not is_close(Visited(["l", 0.5, 0.5, 0.5]), ["l", 0.5, 0.5], 1e-6)


@pytest.mark.parametrize(
    "value",
    [
        *(0.5, [0.5], [], [0.5, 1], (0.5, math.inf), [[0.5]], "0.5", [True], np.float64(0.5), [np.float64(0.5)]),
        *(np.float32(0.5), [np.float32(0.5)], np.longdouble(0.5), Decimal("Infinity"), [Decimal("Infinity")], 0.5j),
        *(np.array([0.5]), np.array([0.5], dtype=np.float32), np.array([5]), [np.array([0.5])], Fraction(1, 2)),
    ],
)
def test_floats_are_what_evalplus_takes_for_floats(value: object) -> None:
    assert is_floats(parse(encode(value))) == their_is_floats(value)


def test_no_equal_value_has_more_parts_than_the_bound_allows() -> None:
    class Long(complex):
        pass

    theirs = [Long(complex("inf+infj"))] * 100
    assert not has_more_parts(encode(theirs), encode([1.0] * 100))
    for value in (5, [5] * 100, {5: 5}, [[5]]):
        wrapped = encode(value).replace(b"5", b'["x","numpy.ndarray",["x","numpy.complex64",["c",5.0,0.0]]]')
        assert not has_more_parts(wrapped, encode(value))
    assert has_more_parts(b"[" * 20 + b"]" * 20, encode([5]))
    assert has_more_parts(encode([0] * 1000), encode([1.0] * 100))
