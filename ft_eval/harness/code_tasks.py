"""What the code tasks' files call by name: programs in, pass@1 out, judged against evalplus's tests in the sandbox.

    with session(CodeTaskSettings(data_dir=…)):
        …evaluate…                                  # process_results finds the open session

There is one slot for the open session, in this module, and not a ContextVar: lm-eval loads a task's functions by path
and calls them without a place for settings, from whatever thread evaluates, and a thread would not see a ContextVar set
in another. A process has one run and so one session. Knows no model.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ft_eval.errors import SandboxError, TaskError, did_you_mean
from ft_eval.harness.code_data import HUMANEVAL_PLUS, MBPP_PLUS, CodeData, Problem, evalplus_version
from ft_eval.harness.code_scorer import CodeScore, CodeScorer
from ft_eval.sandbox.records import MEBIBYTE, Limits, SandboxSettings
from ft_eval.sandbox.sandbox import Sandbox

CODE_TASKS = (HUMANEVAL_PLUS, MBPP_PLUS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTaskSettings:
    """Where the tests come from and how programs are run."""

    data_dir: Path | None = None
    """A folder that may hold `evalplus-release/`; None for evalplus's own places alone."""
    offline: bool = False
    """Whether evalplus may download its data."""
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    limits: Limits = field(default_factory=Limits)


class CodeSession:
    """An open run's scorer and data. The sandbox is opened when it is first needed."""

    def __init__(self, settings: CodeTaskSettings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._sandbox: Sandbox | None = None
        self._scorer: CodeScorer | None = None
        self._data = {task: CodeData(task, data_dir=settings.data_dir, offline=settings.offline) for task in CODE_TASKS}

    def problem(self, task: str, task_id: str) -> Problem:
        """A published problem. Raises DataError where it can't be had, TaskError for a task without problems."""
        return self._problems(task).problem(task_id)

    def task_ids(self, task: str) -> tuple[str, ...]:
        """The ids of a task's published problems. Raises as `problem` does."""
        return self._problems(task).task_ids()

    def score(self, problem: Problem, program: str) -> CodeScore:
        """The verdict on a program. Raises SandboxError where it can't be run."""
        if self._scorer is None:
            self._scorer = CodeScorer(self._open_sandbox(), self._settings.limits)
        return self._scorer.score(problem, program)

    def provenance(self, tasks: Sequence[str]) -> Mapping[str, str]:
        """See `scoring_provenance`."""
        found = {
            "sandbox": self._open_sandbox().description,
            "sandbox_limits": _limits_line(self._settings.limits),
            "evalplus": evalplus_version(),
        }
        for task, data in self._data.items():
            if task in tasks or (not tasks and data.is_here):
                found |= data.provenance
        return found

    def close(self) -> None:
        """End the sandbox."""
        self._stack.close()

    def _problems(self, task: str) -> CodeData:
        if task not in self._data:
            raise TaskError(f"no code problems for task {task!r}{did_you_mean(task, CODE_TASKS)}")
        return self._data[task]

    def _open_sandbox(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = self._stack.enter_context(Sandbox(self._settings.sandbox))
        return self._sandbox


_open_session: CodeSession | None = None


@contextmanager
def session(settings: CodeTaskSettings) -> Iterator[CodeSession]:
    """Open a session for the time of a `with` statement; the one before it, if any, is open again afterwards."""
    global _open_session  # noqa: PLW0603 (the module's docstring says why)
    before, opened = _open_session, CodeSession(settings)
    _open_session = opened
    try:
        yield opened
    finally:
        _open_session = before
        opened.close()


def score_program(task: str, task_id: str, program: str) -> CodeScore:
    """The verdict on a whole program for a published problem, such as ("mbpp_plus", "Mbpp/2", …).

    A program that has been scored in this session is not run again, so this also serves to look up its details.

    Raises:
        SandboxError: no session is open, or the program could not be run: never a wrong answer.
        DataError: the problem's tests can't be had.
        TaskError: no such task.
    """
    opened = _current()
    return opened.score(opened.problem(task, task_id), program)


def score_against(problem: Problem, program: str) -> CodeScore:
    """The verdict on a whole program for a problem of the caller's own. Raises as `score_program` does."""
    return _current().score(problem, program)


def scoring_provenance(*tasks: str) -> Mapping[str, str]:
    """How programs are scored in the open session: sandbox and probe, evalplus's version, data version and sha256.

    With no task named, of all tasks whose data is here. Opens the sandbox, so a machine that has none says so early.

    Raises:
        SandboxError: no session is open, or nothing can be run safely here.
        DataError: a named task's data can't be had.
    """
    return _current().provenance(tasks)


def humaneval_plus_program(doc: Mapping[str, Any], completion: str) -> str:
    """The program a completion makes: the prompt and the completion, as stock lm-eval runs it (no sanitising)."""
    return f"{doc['prompt']}{completion}"


def process_humaneval_plus(doc: Mapping[str, Any], results: Sequence[str]) -> Mapping[str, float]:
    """lm-eval's `process_results` for humaneval_plus."""
    program = humaneval_plus_program(doc, results[0])
    return _metrics(score_program(HUMANEVAL_PLUS, str(doc["task_id"]), program))


def process_mbpp_plus(doc: Mapping[str, Any], results: Sequence[str]) -> Mapping[str, float]:
    """lm-eval's `process_results` for mbpp_plus: the completion up to its stop is the program, as in stock lm-eval."""
    return _metrics(score_program(MBPP_PLUS, f"Mbpp/{doc['task_id']}", results[0]))


def _limits_line(limits: Limits) -> str:
    mebibytes = limits.memory_bytes // MEBIBYTE
    return f"{limits.call_seconds:g} CPU s a call, {limits.total_seconds:g} CPU s in all, {mebibytes} MiB of memory"


def _metrics(score: CodeScore) -> Mapping[str, float]:
    return {"pass@1": float(score.plus), "pass@1_base": float(score.base)}


def _current() -> CodeSession:
    if _open_session is None:
        raise SandboxError("no code session is open: generated code is scored inside `with code_tasks.session(…)`")
    return _open_session
