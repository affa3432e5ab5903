"""A long answer's digest is that of its tree, and tells apart what is not equal."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_eval.sandbox.box.long_digest import is_long, long_digest
from ft_eval.sandbox.normal import normal_digest
from ft_eval.sandbox.wire import encode, to_tree
from tests.sandbox.values import VALUES


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
