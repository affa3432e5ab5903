"""The judge says what evalplus says, without being fooled or worn out by what it judges."""

import math
from collections import Counter, OrderedDict, UserList, deque
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evalplus.eval import untrusted_check

from ft_eval.harness.code_data import CodeData
from ft_eval.harness.code_judge import TestSetJudge, oracle_name
from ft_eval.sandbox.records import Answer
from ft_eval.sandbox.wire import encode, from_tree, parse


def answers(values: Sequence[object], *, expand: bool = False) -> list[Answer]:
    return [Answer(index=n, text=encode(value, expand_iterators=expand)) for n, value in enumerate(values)]


def our_verdicts(task: str, entry_point: str, rows: Sequence[tuple[Any, Any, Any]], atol: float = 0.0) -> list[bool]:
    """Verdicts on (arguments, answer, expected) rows, judged as one test set."""
    oracle = oracle_name(task, entry_point)
    given = answers([row[1] for row in rows], expand=oracle == "same_set")
    judge = TestSetJudge(
        oracle=oracle,
        atol=atol,
        inputs=[encode(list(row[0])) for row in rows],
        expected=answers([row[2] for row in rows]),
    )
    return [judge(answer) for answer in given]


def exact_verdicts(given: Sequence[object], wanted: Sequence[object]) -> list[bool]:
    """Verdicts where a plain `==` is asserted."""
    inputs = [b"[]"] * len(given)
    judge = TestSetJudge(oracle="exact", atol=0.0, inputs=inputs, expected=answers(wanted))
    return [judge(answer) for answer in answers(given)]


def their_verdicts(task: str, entry_point: str, rows: Sequence[tuple[Any, Any, Any]], atol: float = 0.0) -> list[bool]:
    """The same by evalplus's own check, which runs a program that gives these answers one after the other."""
    program = (
        "from collections import Counter\nfrom decimal import Decimal\nfrom fractions import Fraction\n"
        "import numpy as np\nfrom numpy import array, float64, int64\ninf = float('inf')\n"
        f"answers = iter([{', '.join(_source(row[1]) for row in rows)}])\n"
        f"def {entry_point}(*_):\n    return next(answers)"
    )
    inputs, expected = [list(row[0]) for row in rows], [row[2] for row in rows]
    dataset = task.removesuffix("_plus")
    _, details = untrusted_check(dataset, program, inputs, entry_point, expected, atol, [0.2] * len(rows))
    assert len(details) == len(rows), "evalplus judged every row"
    return [bool(detail) for detail in details]


def _source(value: object) -> str:
    if isinstance(value, np.generic):
        return f"np.{type(value).__name__}({value.item()!r})"
    return repr(value)


def neighbours(value: Any) -> list[Any]:
    """The value, and values near it in one way or another."""
    found = [value, [value], str(value), None]
    if isinstance(value, bool | int | float):
        found += [value + 1, value + 1e-9, value + 1e-5, value * (1 + 1e-8), float(value), int(value), bool(value)]
        found += [Fraction(value), Decimal(value), complex(value), np.float64(value), np.float64(value + 1e-9)]
    if isinstance(value, list | tuple):
        found += [tuple(value), list(value), value[:-1], value[::-1], [*value, 0]]
        if value and all(isinstance(item, float) for item in value):
            found += [type(value)(item + delta for item in value) for delta in (1e-9, 1e-5)]
    if isinstance(value, str):
        found += [value + " ", value.encode(), list(value)]
    return found


PAIRS: list[tuple[Any, Any]] = [
    (1, True),
    (1.0, 1),
    ({1, 2}, {2, 1}),
    (frozenset({1}), {1}),
    (Counter("ab"), {"a": 1, "b": 1}),
    ({"a": 1.0}, {"a": 1}),
    ({"a": 1}, {"a": 2}),
    ([1, [2, (3,)]], [1, [2, (3,)]]),
    ([1, [2, [3]]], [1, [2, (3,)]]),
    ([(1, 2)], [[1, 2]]),
    ("a", "a"),
    (None, None),
    (0, None),
    ("", None),
    ([], ()),
    (np.int64(3), 3),
    ([np.int64(3)], [3]),
    (3 + 4j, 3 + 4j),
    (3 + 4j, 3),
    (10**30, 10**30),
    (float(10**30), 10**30),
    (math.inf, math.inf),
    (-math.inf, math.inf),
    (0.1 + 0.2, 0.3),
    (0.3 + 1e-5, 0.3),
    ([0.1 + 0.2, 1.0], [0.3, 1.0]),
    ([0.3, 1], [0.3, 1.0]),
    ((0.1 + 0.2,), [0.3]),
    ([0.1 + 0.2, "a"], [0.3, "a"]),
    ([[0.1 + 0.2]], [[0.3]]),
    (np.float64(0.1) + np.float64(0.2), 0.3),
    (np.float64(0.3), 0.3),
    ("0.3", 0.3),
    (True, 0.3),
    (None, 0.3),
    (1, 1.0000000001),
    (1000000001, 1000000000),  # after floats were expected: within 1e-7 of it
    ([1000000001], [1000000000]),
    (10**30 + 1, 10**30),
    (True, False),
    ([True], [False]),
    ({1: 1.0000000001}, {1: 1.0}),
    ("abc", "abd"),
]


@pytest.mark.parametrize("atol", [0.0, 1e-6, 1e-4])
def test_pairs_are_judged_as_evalplus_judges_them(atol: float) -> None:
    rows = [((), got, wanted) for got, wanted in PAIRS]
    assert our_verdicts("mbpp_plus", "f", rows, atol) == their_verdicts("mbpp_plus", "f", rows, atol)


@pytest.mark.parametrize(
    ("task", "task_id"),
    [
        ("humaneval_plus", "HumanEval/0"),
        ("humaneval_plus", "HumanEval/2"),
        ("humaneval_plus", "HumanEval/4"),
        ("humaneval_plus", "HumanEval/21"),
        ("humaneval_plus", "HumanEval/87"),
        ("humaneval_plus", "HumanEval/136"),
        ("mbpp_plus", "Mbpp/2"),
        ("mbpp_plus", "Mbpp/7"),
        ("mbpp_plus", "Mbpp/14"),
        ("mbpp_plus", "Mbpp/82"),
        ("mbpp_plus", "Mbpp/124"),
        ("mbpp_plus", "Mbpp/111"),
        ("mbpp_plus", "Mbpp/252"),
        ("mbpp_plus", "Mbpp/558"),
        ("mbpp_plus", "Mbpp/579"),
        ("mbpp_plus", "Mbpp/581"),
    ],
)
def test_real_answers_and_their_neighbours_are_judged_as_evalplus_judges_them(
    data_dir: Path, task: str, task_id: str
) -> None:
    problem = CodeData(task, data_dir=data_dir, offline=True).problem(task_id)
    namespace: dict[str, Any] = {}
    exec(problem.reference, namespace)  # noqa: S102 (evalplus's own solution)
    rows = []
    for text in problem.base_inputs[:3] + problem.plus_inputs[:4]:
        arguments = from_tree(parse(text))
        wanted = namespace[problem.entry_point](*from_tree(parse(text)))
        rows += [(arguments, near, wanted) for near in neighbours(wanted)]
    ours = our_verdicts(task, problem.entry_point, rows, problem.atol)
    assert ours == their_verdicts(task, problem.entry_point, rows, problem.atol)
    assert any(ours)


@pytest.mark.parametrize("name", ["are_equivalent", "sum_div", "surface_Area", "digit_distance_nums"])
def test_special_rules_accept_what_evalplus_accepts(name: str) -> None:
    numbers = [0, 0.0, 1, 33, 33.0, 1.00001, 10**40, "0", None, [0], True, math.inf]
    rows = [(arguments, got, 7) for arguments in ((3, 4), (12, 345), (-1, 2), (0.5, 1e300)) for got in numbers]
    assert our_verdicts("mbpp_plus", name, rows) == their_verdicts("mbpp_plus", name, rows)


@pytest.mark.parametrize("name", ["check_str", "text_match_three", "text_starta_endb"])
def test_where_only_something_is_asked_for_something_is_enough(name: str) -> None:
    """Evalplus keeps whether the reference gave something; we keep what it gave."""
    given: list[object] = [None, True, False, 0, "", "a", [], np.int64(0)]
    rows = [((), got, kept) for kept in (True, False) for got in given]
    ours = [(row[0], row[1], "a match" if row[2] else None) for row in rows]
    assert our_verdicts("mbpp_plus", name, ours) == their_verdicts("mbpp_plus", name, rows)


def test_a_root_is_a_root_within_the_tolerance() -> None:
    rows = [(([-1.0, 2.0],), x, 0.5) for x in (0.5, 0.5 + 1e-6, 0.6, "0.5", None, math.nan, 10**400, True)]
    assert our_verdicts("humaneval_plus", "find_zero", rows, 1e-4) == [True, True, *[False] * 6]


def test_closeness_needs_the_same_shape() -> None:
    rows = [((), [[1.0], [1.0 + 1e-9]], [1.0, 1.0]), ((), [1.0, 1.0 + 1e-9], [1.0, 1.0])]
    assert our_verdicts("mbpp_plus", "f", rows) == [False, True]
    assert their_verdicts("mbpp_plus", "f", rows) == [True, True]


def test_sets_are_compared_as_sets_and_iterators_are_read_out() -> None:
    right: list[Any] = [[2, 1, 1], {1, 2}, iter([1, 2]), {1: 0, 2: 0}.keys(), np.array([2, 1]), deque([1, 2])]
    right += [OrderedDict({1: 0, 2: 0}).keys(), {0: 1, 3: 2}.values(), range(1, 3), UserList([1, 2])]
    wrong: list[object] = [(1,), [[1], 2], 5, None, np.array([1, 3]), [np.array([1]), 2], np.array([[1, 2]]), range(1)]
    rows = [((), got, (1, 2)) for got in right + wrong]
    assert our_verdicts("mbpp_plus", "similar_elements", rows) == [True] * 10 + [False] * 8


@pytest.mark.parametrize("got", [[object(), 1], [math.nan, 1], [1]])
def test_no_set_equals_one_with_an_element_that_equals_nothing(got: list[object]) -> None:
    assert our_verdicts("mbpp_plus", "similar_elements", [((), got, [math.nan, 1])]) == [False]


@pytest.mark.parametrize("atol", [0.0, 1e-6])
@pytest.mark.parametrize("wanted", [(97, 98), [0.5, 1.5], [(0.5,), (1.5,)], [b"ab", 1.5], [range(2), 2.5]])
def test_sets_are_judged_as_evalplus_judges_them(wanted: Any, atol: float) -> None:
    got: list[Any] = [wanted, wanted[::-1], b"ab", bytearray(b"ba"), "ab", [0.5, 1.5 + 1e-9], [[0.5], [1.5]], 5, None]
    got += [[bytearray(b"ab"), 1.5], [range(2), 2.5], [[0, 1], 2.5], [Fraction(1, 2), 1.5], [np.float32(0.5), 1.5]]
    rows = [((), one, wanted) for one in got]
    assert our_verdicts("mbpp_plus", "Diff", rows, atol) == their_verdicts("mbpp_plus", "Diff", rows, atol)


def test_arrays_are_judged_as_evalplus_judges_them() -> None:
    array = np.array
    got = [array([5]), array(5), array([[5]]), array([6]), array([5, 5]), array([]), array([0.3]), array([0.30001])]
    rows = [((), one, wanted) for wanted in (5, 0.3) for one in got]
    assert our_verdicts("mbpp_plus", "f", rows) == their_verdicts("mbpp_plus", "f", rows)


@pytest.mark.parametrize("wanted", [0.1, 0.5, 1e4, 5])
def test_floats_of_other_lengths_equal_what_numpy_says_they_equal(wanted: float) -> None:
    kinds = (np.float16, np.float32, np.float64, np.longdouble)
    with np.errstate(over="ignore"):
        rows: list[Any] = [((), kind(number), wanted) for kind in kinds for number in (wanted, 0.1 + 1e-5, math.inf)]
        equal = [bool(row[1] == row[2]) for row in rows]
    assert exact_verdicts([row[1] for row in rows], [wanted] * len(rows)) == equal


def test_what_is_not_a_number_equals_nothing_not_even_itself() -> None:
    values: list[object] = [math.nan, [math.nan], object(), print]
    assert exact_verdicts(values, values) == [False] * 4
    rows = [((), value, value) for value in values]
    assert our_verdicts("mbpp_plus", "f", rows, 1e-6) == [False] * 4
    assert our_verdicts("mbpp_plus", "f", [((), "nan", "nan")]) == [True]


def test_an_exact_answer_has_no_tolerance_whatever_was_expected_before() -> None:
    third = 1 / 3
    wanted = [third, [third, 1.0], [1000000], third, (0.5,)]
    assert exact_verdicts([third, [third, 1], [1000000], third, (0.5,)], wanted) == [True] * 5
    assert exact_verdicts([third + 1e-9, [round(third, 7), 1.0], [1000000.09], 0.3333333, [0.5]], wanted) == [False] * 5
