"""MBPP's own three assertions, judged without letting the program see what they expect.

An assertion is `assert CALL == VALUE`. The program is asked for the CALLs. The reference, in a box of its own, is the
published program with the VALUEs: it makes each CALL too, so that a slow one gets the time it takes, and answers VALUE.
The two are compared outside, by the assertion's own `==`: no tolerance. Knows no model.
"""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from ft_eval.errors import DataError
from ft_eval.harness.code_data import Problem
from ft_eval.harness.code_judge import EXACT
from ft_eval.harness.code_tasks import score_against
from ft_eval.sandbox.wire import encode

_ENTRY_POINT = "ft_eval_assertion"


def process_mbpp(doc: Mapping[str, Any], results: Sequence[str]) -> Mapping[str, float]:
    """lm-eval's `process_results` for ft_mbpp: whether the completion passes all of the problem's assertions.

    Raises:
        SandboxError: no code session is open, or nothing can be run safely here: never a wrong answer.
        DataError: an assertion has another form.
    """
    return {"pass@1": float(score_against(mbpp_problem(doc), mbpp_program(doc, results[0])).base)}


def mbpp_problem(doc: Mapping[str, Any]) -> Problem:
    """The assertions as a problem to judge: assertion number n is the call of the entry point with n."""
    sides = _assertions(doc)
    return Problem(
        task_id=f"MBPP/{doc['task_id']}",
        entry_point=_ENTRY_POINT,
        reference=f"{doc['code']}\n{doc['test_setup_code']}\n{_asked(sides)}",
        base_inputs=tuple(encode([number]) for number in range(len(sides))),
        oracle=EXACT,
    )


def mbpp_program(doc: Mapping[str, Any], completion: str) -> str:
    """The program that makes the assertions' calls: the completion, the problem's set-up code, the calls."""
    return f"{completion}\n{doc['test_setup_code']}\n{_asked([(call,) for call, _ in _assertions(doc)])}"


def _asked(cases: Sequence[Sequence[str]]) -> str:
    """The definition of an entry point that, called with n, evaluates the expressions of case n and gives the last."""
    lines = [f"def {_ENTRY_POINT}(number):"]
    for number, expressions in enumerate(cases):
        lines += [f"    if number == {number}:", *(f"        found = {text}" for text in expressions)]
        lines.append("        return found")
    return "\n".join(lines)


def _assertions(doc: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Per assertion, the two sides of its equation as source."""
    return [_sides(doc["task_id"], text) for text in doc["test_list"]]


def _sides(task_id: int, text: str) -> tuple[str, str]:
    try:
        match ast.parse(text.strip()).body:
            case [ast.Assert(test=ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]))]:
                return ast.unparse(left), ast.unparse(right)
    except SyntaxError:
        pass
    raise DataError(f"MBPP/{task_id} has the assertion {text!r}; expected assert CALL == VALUE; download MBPP again")
