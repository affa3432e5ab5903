"""Where sets are compared, whatever can be iterated is read out, and counts by its elements."""

import math
from array import array
from collections import UserList, deque

import numpy as np
import pytest

from ft_eval.sandbox import wire
from ft_eval.sandbox.elements import element_texts
from ft_eval.sandbox.wire import to_tree


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, 2]),
        {0: 1, 3: 2}.values(),
        range(1, 3),
        deque([1, 2]),
        UserList([1, 2]),
        array("i", [1, 2]),
        (n for n in (1, 2)),
    ],
)
def test_what_can_be_iterated_is_read_out_where_that_is_asked_for(value: object) -> None:
    assert element_texts(to_tree(value, expand_iterators=True)) == ("1", "2")
    assert to_tree([iter([1])], expand_iterators=True) == ["l", ["o", "builtins.list_iterator"]]


def test_the_only_element_of_an_array_is_read_out_as_an_element() -> None:
    assert element_texts(to_tree(np.array([5]), expand_iterators=True)) == ("5",)
    assert element_texts(to_tree(np.array("ab"), expand_iterators=True)) is None


def test_an_endless_iterable_is_read_out_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_EXPANDED", 3)
    assert to_tree(range(10**12), expand_iterators=True) == ["e", "builtins.range", 0, 1, 2]


@pytest.mark.parametrize("value", [[math.nan, 1], [object(), 1], [np.array([5])], [[1]], 5, object()])
def test_no_set_equals_one_that_holds_what_equals_nothing_or_has_no_hash(value: object) -> None:
    assert element_texts(to_tree(value, expand_iterators=True)) is None
