"""Programs are scored with no more runs than their answers need."""

from dataclasses import replace
from typing import Any, cast

import pytest

from ft_eval.harness import code_scorer
from ft_eval.harness.code_data import Problem
from ft_eval.harness.code_scorer import CodeScorer, ScoreBook
from ft_eval.sandbox.execution import Judge
from ft_eval.sandbox.normal import normal_digest
from ft_eval.sandbox.records import Answer, Calls, ExecutionResult, Limits, Outcome
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.wire import encode, from_tree, parse

MANY = Problem(
    task_id="Test/0",
    entry_point="solve",
    reference="def solve(n):\n    return [k / 3 for k in range(n)]",
    base_inputs=(encode([3]), encode([9_000])),
)
NEAR = "def solve(n):\n    return [k / 3 + {} for k in range(n)]"


class InThisProcess:
    """A sandbox that runs our own programs here, and notes each run."""

    def __init__(self) -> None:
        self.runs: list[Calls] = []

    def run_calls(self, calls: Calls, judge: Judge | None = None) -> ExecutionResult:
        self.runs.append(calls)
        namespace: dict[str, Any] = {}
        exec(calls.program, namespace)  # noqa: S102 (this test's own)
        found = []
        for index, arguments in enumerate(calls.inputs):
            text = encode(namespace[calls.entry_point](*from_tree(parse(arguments))))
            answer = Answer(index=index, text=text)
            if len(text) > calls.limits.digest_bytes:
                answer = Answer(index=index, digest=normal_digest(parse(text)), is_floats=True)
            found.append(answer)
            if judge is not None and not judge(answer):
                return ExecutionResult(outcome=Outcome.FAILED)
        return ExecutionResult(outcome=Outcome.PASSED, answers=tuple(found))

    def times(self, program: str) -> int:
        return sum(calls.program == program for calls in self.runs)


@pytest.fixture
def box() -> InThisProcess:
    return InThisProcess()


def scorer(box: InThisProcess, book: ScoreBook | None = None) -> CodeScorer:
    return CodeScorer(cast("Sandbox", box), Limits(), book)


def test_a_references_whole_answers_are_made_once_for_all_programs(box: InThisProcess) -> None:
    book = ScoreBook()
    verdicts = [scorer(box, book).score(MANY, NEAR.format(delta)).base for delta in (1e-9, 2e-9, 1e-3, 1e-2)]
    assert verdicts == [True, True, False, False]
    assert box.times(MANY.reference) == 2


def test_whole_answers_are_kept_within_bounds(box: InThisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_scorer, "_WHOLE_BYTES", 200_000)
    book = ScoreBook()
    others = [replace(MANY, task_id=f"Test/{number}") for number in range(3)]
    for problem in [*others, others[2], others[0]]:
        assert scorer(box, book).score(problem, NEAR.format(1e-9), afresh=True).base
    assert box.times(MANY.reference) == 3 + 3 + 1
    assert len(book._whole) == 1


def test_a_long_answer_where_a_short_one_is_expected_is_wrong_at_once(box: InThisProcess) -> None:
    program = NEAR.format("0.0").replace("range(n)", "range(9_000)")
    short = replace(MANY, base_inputs=(encode([3]),))
    assert not scorer(box).score(short, program).base
    assert (box.times(program), len(box.runs)) == (1, 2)
