"""A code task's document as a problem, the program a completion makes of it, and a program known to be right.

One place for what the scoring functions of the task files do one by one, so that solutions can be checked before a run
and samples can say how their programs ended. A code task that is not listed here, nor judged as one that is, is scored
all the same, unchecked.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ft_eval.harness.code_data import HUMANEVAL_PLUS, MBPP_PLUS, Problem
from ft_eval.harness.code_tasks import CodeSession, base_problem, humaneval_plus_program, open_session
from ft_eval.harness.evalplus_prompts import humaneval_prompt, mbpp_prompt, sanitized
from ft_eval.harness.judges import judged_as
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
    program: Callable[[Problem, Document, str], str]
    """From a completion."""
    solution: Callable[[Problem, Document], str]
    """A whole program that is right."""


def code_task(name: str) -> CodeTask | None:
    """The reading of a task's documents; None for a task that has none."""
    return _TASKS.get(judged_as(name))


def outcomes(session: CodeSession, task: str, document: Document, completion: str) -> Mapping[str, str]:
    """How a completion's program ended on each test set, from the session's memory; empty when it was not scored there.

    Nothing is run. Keys: `base` and `plus` where the problem has them (an outcome, or `not run`), and `detail`, where
    there is something to say about the set that decided.
    """
    reading = code_task(task)
    if reading is None:
        return {}
    problem = reading.problem(session, document)
    score = session.known(problem, reading.program(problem, document, completion))
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
    if session is None or reading is None:
        return

    def make() -> tuple[Problem, str]:
        problem = reading.problem(session, document)
        return problem, reading.program(problem, document, completion)

    session.score_ahead(make)


def _published(
    task: str, name: Callable[[Document], str], program: Callable[[Problem, Document, str], str]
) -> CodeTask:
    return CodeTask(
        name=name,
        digest=lambda session, document: session.digest(task, name(document)),
        problem=lambda session, document: session.problem(task, name(document)),
        program=program,
        solution=lambda problem, _document: problem.reference,
    )


def _own_digest(_session: CodeSession, document: Document) -> str:
    return content_hash(json.loads(json.dumps(document, default=str)))


def _humaneval_name(document: Document) -> str:
    return str(document["task_id"])


def _mbpp_name(document: Document) -> str:
    return f"Mbpp/{document['task_id']}"


def _completed(_problem: Problem, document: Document, completion: str) -> str:
    return humaneval_plus_program(document, completion)


_HUMANEVAL_PLUS = _published(HUMANEVAL_PLUS, _humaneval_name, _completed)
_MBPP = CodeTask(
    name=lambda document: f"MBPP/{document['task_id']}",
    digest=_own_digest,
    problem=lambda _session, document: mbpp_problem(document),
    program=lambda _problem, document, completion: mbpp_program(document, completion),
    solution=lambda _problem, document: mbpp_program(document, document["code"]),
)
_TASKS: Mapping[str, CodeTask] = {
    HUMANEVAL_PLUS: _HUMANEVAL_PLUS,
    "humaneval": replace(_HUMANEVAL_PLUS, problem=lambda session, doc: base_problem(session, _humaneval_name(doc))),
    "evalplus_humaneval": _published(
        HUMANEVAL_PLUS,
        _humaneval_name,
        lambda problem, doc, completion: sanitized(humaneval_prompt(doc), completion, problem.entry_point),
    ),
    MBPP_PLUS: _published(MBPP_PLUS, _mbpp_name, lambda _problem, _document, completion: completion),
    "evalplus_mbpp": _published(
        MBPP_PLUS,
        _mbpp_name,
        lambda problem, doc, completion: sanitized(mbpp_prompt(doc), completion, problem.entry_point),
    ),
    "ft_mbpp": _MBPP,
    "mbpp": _MBPP,
    "toy_humaneval": CodeTask(
        name=_humaneval_name,
        digest=_own_digest,
        problem=lambda _session, document: function_problem(document),
        program=_completed,
        solution=lambda problem, _document: problem.reference,
    ),
}
