"""A code task's document as a problem, the program a completion makes of it, and a program known to be right.

One place for what the scoring functions of the task files do one by one, so that solutions can be checked before a run
and samples can say how their programs ended. A code task that is not listed here is scored all the same, unchecked.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ft_eval.harness.code_data import HUMANEVAL_PLUS, MBPP_PLUS, Problem
from ft_eval.harness.code_tasks import CodeSession, humaneval_plus_program, open_session
from ft_eval.harness.mbpp import mbpp_problem, mbpp_program
from ft_eval.harness.toy_tasks import function_problem
from ft_eval.records import content_hash

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTask:
    """How one task's documents are read. Functions may raise DataError, where a problem can't be had."""

    name: Callable[[Document], str]
    digest: Callable[[CodeSession, Document], str]
    """Of all that the problem and its solution are made from."""
    problem: Callable[[CodeSession, Document], Problem]
    program: Callable[[Document, str], str]
    """From a completion."""
    solution: Callable[[Problem, Document], str]
    """A whole program that is right."""


def code_task(name: str) -> CodeTask | None:
    """The reading of a task's documents; None for a task that has none."""
    return _TASKS.get(name)


def outcomes(session: CodeSession, task: str, document: Document, completion: str) -> Mapping[str, str]:
    """How a completion's program ended on each test set, from the session's memory; empty when it was not scored there.

    Nothing is run. Keys: `base` and `plus` where the problem has them (an outcome, or `not run`), and `detail`, where
    there is something to say about the set that decided.
    """
    reading = code_task(task)
    if reading is None:
        return {}
    problem = reading.problem(session, document)
    score = session.known(problem, reading.program(document, completion))
    if score is None:
        return {}
    names = ("base", "plus") if problem.plus_inputs else ("base",)
    found = {name: str(score.outcomes[name]) if name in score.outcomes else "not run" for name in names}
    return found | ({"detail": score.details["detail"]} if "detail" in score.details else {})


def score_ahead(task: str, document: Document, completion: str) -> None:
    """Have the open session judge a completion's program while others are still written.

    Nothing happens without an open session, and for a task that is not listed here: its programs are judged when they
    are asked for, as they all would be.

    Raises:
        FtEvalError: a program that was given before could not be run.
    """
    session, reading = open_session(), code_task(task)
    if session is not None and reading is not None:
        session.score_ahead(lambda: (reading.problem(session, document), reading.program(document, completion)))


def _published(task: str, name: Callable[[Document], str], program: Callable[[Document, str], str]) -> CodeTask:
    return CodeTask(
        name=name,
        digest=lambda session, document: session.digest(task, name(document)),
        problem=lambda session, document: session.problem(task, name(document)),
        program=program,
        solution=lambda problem, _document: problem.reference,
    )


def _own_digest(_session: CodeSession, document: Document) -> str:
    return content_hash(json.loads(json.dumps(document, default=str)))


_TASKS: Mapping[str, CodeTask] = {
    HUMANEVAL_PLUS: _published(HUMANEVAL_PLUS, lambda document: str(document["task_id"]), humaneval_plus_program),
    MBPP_PLUS: _published(
        MBPP_PLUS, lambda document: f"Mbpp/{document['task_id']}", lambda _document, completion: completion
    ),
    "ft_mbpp": CodeTask(
        name=lambda document: f"MBPP/{document['task_id']}",
        digest=_own_digest,
        problem=lambda _session, document: mbpp_problem(document),
        program=mbpp_program,
        solution=lambda _problem, document: mbpp_program(document, document["code"]),
    ),
    "toy_humaneval": CodeTask(
        name=lambda document: str(document["task_id"]),
        digest=_own_digest,
        problem=lambda _session, document: function_problem(document),
        program=humaneval_plus_program,
        solution=lambda problem, _document: problem.reference,
    ),
}
