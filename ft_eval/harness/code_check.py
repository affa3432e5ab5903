"""Before a model is asked anything: do a task's own solutions pass, here, in this sandbox, all of them?

A solution that fails says that the sandbox, the limits or the data are off, and a model's programs would be failed for
it. What passed is kept as plain JSON under the user's cache folder, per task, data, sandbox, limits, Python and
machine, so that it is run once; what failed is never kept. Knows no model.
"""

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ft_eval import __version__
from ft_eval.errors import TaskError
from ft_eval.harness.code_data import Problem, evalplus_version
from ft_eval.harness.code_documents import CodeTask, Document, code_task
from ft_eval.harness.code_scorer import CodeScore, ReferenceFailedError
from ft_eval.harness.code_tasks import CodeSession, limits_line
from ft_eval.records import content_hash
from ft_eval.resources import user_cache_dir

_FORMAT = 1
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    name: str
    digest: str
    document: Document


def check_references(session: CodeSession, task: str, documents: Sequence[Document]) -> str:
    """See that every document's own solution passes; one that does not gets a second try, alone.

    Args:
        session: the open session; its settings say whether to check at all, and who listens.
        task: the task's name.
        documents: those that a run will score.

    Returns:
        A line for the run's record, such as `164 of 164 pass`.

    Raises:
        TaskError: some do not pass; they are named.
        SandboxError: nothing can be run.
        DataError: a problem's tests can't be had.
    """
    reading = code_task(task)
    if reading is None or not session.settings.check_references:
        return "not checked"
    items = [
        _Item(name=reading.name(document), digest=reading.digest(session, document), document=document)
        for document in documents
    ]
    kept = _Kept(session, task)
    passed = session.solutions_passed[task]
    passed |= kept.passed
    left = [item for item in items if item.digest not in passed]
    if left:
        failed = _failures(session, task, reading, left)
        passed |= {item.digest for item in left if item.name not in failed}
        kept.add(passed)
        if failed:
            raise TaskError(_refusal(task, len(items), failed))
    return f"{len(items)} of {len(items)} pass"


def _failures(session: CodeSession, task: str, reading: CodeTask, items: Sequence[_Item]) -> Mapping[str, str]:
    """By name, why those that fail do so."""
    suspects: list[_Item] = []
    num_done = 0

    def programs() -> Iterator[tuple[Problem, str]]:
        return (_program(session, reading, item) for item in items)

    def take(number: int, verdict: CodeScore | ReferenceFailedError) -> None:
        nonlocal num_done
        num_done += 1
        if isinstance(verdict, ReferenceFailedError) or not verdict.plus:
            suspects.append(items[number])
        session.settings.on_check(task, num_done, len(items))

    session.score_all(programs(), take, len(items))
    found = {item.name: _why_not(session, reading, item) for item in suspects}
    return {name: why for name, why in found.items() if why}


def _program(session: CodeSession, reading: CodeTask, item: _Item) -> tuple[Problem, str]:
    problem = reading.problem(session, item.document)
    return problem, reading.solution(problem, item.document)


def _why_not(session: CodeSession, reading: CodeTask, item: _Item) -> str:
    """A second try, with no neighbours; empty when it passes."""
    problem, program = _program(session, reading, item)
    try:
        score = session.score(problem, program, afresh=True)
    except ReferenceFailedError as error:
        return str(error)
    return "" if score.plus else f"{score.details['tests']} tests: {score.outcome}"


def _refusal(task: str, num_items: int, failed: Mapping[str, str]) -> str:
    named = [f"{name} ({why})" for name, why in list(failed.items())[:_MAX_NAMED]]
    more = f" and {len(failed) - _MAX_NAMED} more" if len(failed) > _MAX_NAMED else ""
    return (
        f"{task}: {num_items - len(failed)} of {num_items} of its own solutions pass here, so a model's programs can't "
        f"be judged; {', '.join(named)}{more} fail; check this machine's memory and load and the task's data, or pass "
        "--skip-gold-check"
    )


class _Kept:
    """The digests of the items that have passed in these circumstances, on disk."""

    def __init__(self, session: CodeSession, task: str) -> None:
        self._about = {
            "format": _FORMAT,
            "ft-eval": __version__,
            "task": task,
            "sandbox": session.description,
            "limits": limits_line(session.settings.limits),
            "evalplus": evalplus_version(),
            "python": platform.python_version(),
            "machine": content_hash([platform.node(), platform.machine()])[:16],
        }
        self._path = user_cache_dir() / f"references-{task}-{content_hash(self._about)[:16]}.json"
        self.passed = self._read()

    def add(self, digests: Iterable[str]) -> None:
        """Keep these too. A cache that can't be written costs the next run its time, nothing more."""
        self.passed = self._read().union(digests)
        kept: Mapping[str, Any] = {"about": self._about, "passed": sorted(self.passed)}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            temporary.write_text(json.dumps(kept), encoding="utf-8")
            temporary.replace(self._path)
        except OSError:
            return

    def _read(self) -> frozenset[str]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            return (
                frozenset(str(digest) for digest in found["passed"]) if found["about"] == self._about else frozenset()
            )
        except (OSError, ValueError, KeyError, TypeError):
            return frozenset()
