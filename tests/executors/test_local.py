"""The local executor does work here, in order, in the caller's thread, and tells outcomes at once."""

from dataclasses import dataclass

import pytest

from ft_eval.executors import Executor, LocalExecutor


@dataclass
class Spell:
    """Emits an item's letters, and counts in its state what it has done."""

    affinity = "letters"

    def run(self, state, item, emit):
        state.append(item)
        for letter in item:
            emit(letter)


def new_in(states: list[list[str]]) -> list[str]:
    states.append([])
    return states[-1]


def test_outcomes_come_in_the_order_of_the_items_and_one_state_is_kept():
    states: list[list[str]] = []
    executor: Executor = LocalExecutor(lambda: new_in(states))
    found: list[str] = []
    executor.map(Spell(), ["ab", "c"], found.append)
    executor.map(Spell(), ["d"], found.append)
    executor.map(Spell(), [], found.append)
    assert found == ["a", "b", "c", "d"]
    assert states == [["ab", "c", "d"]]


def test_an_outcome_is_told_before_the_next_is_computed():
    told: list[str] = []

    class Watching:
        affinity = None

        def run(self, state, item, emit):
            emit(item)
            assert told[-1] == item

    LocalExecutor(list).map(Watching(), "abc", told.append)
    assert told == ["a", "b", "c"]


def test_an_exception_comes_out_and_later_items_do_not_begin():
    begun = []

    class Failing:
        affinity = None

        def run(self, state, item, emit):
            begun.append(item)
            if item == 1:
                raise KeyError(item)

    with pytest.raises(KeyError):
        LocalExecutor(list).map(Failing(), [0, 1, 2], begun.append)
    assert begun == [0, 1]


def test_closing_lets_go_of_what_the_worker_kept():
    states: list[list[str]] = []
    with LocalExecutor(lambda: new_in(states)) as executor:
        executor.map(Spell(), ["a"], lambda _: None)
    executor.map(Spell(), ["b"], lambda _: None)
    assert states == [["a"], ["b"]]
