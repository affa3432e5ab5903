"""What the code tasks' files call by name: programs in, pass@1 out, judged against evalplus's tests in the sandbox.

    with session(CodeTaskSettings(data_dir=…)):
        …evaluate…                                  # process_results finds the open session

There is one slot for the open session, in this module, and not a ContextVar: lm-eval loads a task's functions by path
and calls them without a place for settings, from whatever thread evaluates, and a thread would not see a ContextVar set
in another. A process has one run and so one session. Knows no model.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import RLock
from typing import Any

from ft_eval.errors import SandboxError, TaskError, did_you_mean
from ft_eval.harness.code_data import HUMANEVAL_PLUS, MBPP_PLUS, CodeData, Problem, evalplus_version
from ft_eval.harness.code_scorer import CodeScore, CodeScorer, ScoreBook
from ft_eval.harness.code_workers import Ahead, OnScore, Programs, score_programs
from ft_eval.harness.evalplus_prompts import humaneval_prompt, mbpp_prompt, sanitized
from ft_eval.sandbox.records import MEBIBYTE, Limits, SandboxSettings
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.tiers import NOT_CONTAINED

CODE_TASKS = (HUMANEVAL_PLUS, MBPP_PLUS)
_MAX_DEFAULT_WORKERS = 8
OnCheck = Callable[[str, int, int], None]
"""Told a task's name, how many of its own solutions have been run, and how many there are to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTaskSettings:
    """Where the tests come from and how programs are run."""

    data_dir: Path | None = None
    """A folder that may hold `evalplus-release/`; None for evalplus's own places alone."""
    offline: bool = False
    """Whether evalplus may download its data."""
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    limits: Limits = field(default_factory=Limits)
    problems_file: Path | None = None
    """Problems in evalplus's format to score against instead of the released ones, whatever the task."""
    num_workers: int | None = None
    """Programs at a time, where several can be scored; None for one per processor, eight at most."""
    check_references: bool = True
    """Whether a run sees to it that a task's own solutions pass before it asks a model anything."""
    on_check: OnCheck = field(default=lambda *_progress: None)
    """Told how far that is."""


class CodeSession:
    """An open run's scorers and data. A sandbox is opened when it is first needed."""

    def __init__(self, settings: CodeTaskSettings) -> None:
        self.settings = settings
        self.solutions_passed: defaultdict[str, set[str]] = defaultdict(set)
        """Per task the digests of the items whose own solutions have passed in this session."""
        self._stack = ExitStack()
        self._scorers: list[CodeScorer] = []
        self._book = ScoreBook()
        self._ahead: Ahead | None = None
        self._lock = RLock()
        self._data = {
            task: CodeData(task, data_dir=settings.data_dir, offline=settings.offline, file=settings.problems_file)
            for task in CODE_TASKS
        }

    def problem(self, task: str, task_id: str) -> Problem:
        """A published problem. Raises DataError where it can't be had, TaskError for a task without problems."""
        return self._problems(task).problem(task_id)

    def task_ids(self, task: str) -> tuple[str, ...]:
        """The ids of a task's published problems. Raises as `problem` does."""
        return self._problems(task).task_ids()

    def digest(self, task: str, task_id: str) -> str:
        """The sha256 of all that is published about a problem. Raises as `problem` does."""
        return self._problems(task).digest(task_id)

    def test_files(self) -> tuple[Path, ...]:
        """The files of tests that are here, of whatever task. Raises DataError where one that was named is not."""
        return tuple(data.here for data in self._data.values() if data.here is not None)

    def remark_on_tests(self, tasks: Sequence[str]) -> None:
        """Say it where these tasks' tests are no known release. Raises as `problem` does."""
        for task, data in self._data.items():
            if task in tasks:
                data.remark_on_origin()

    def score(self, problem: Problem, program: str, *, afresh: bool = False) -> CodeScore:
        """The verdict on a program, from memory unless `afresh`. Raises SandboxError where it can't be run."""
        return self._scorers_upto(1)[0].score(problem, program, afresh=afresh)

    def score_all(self, programs: Programs, on_score: OnScore, num_programs: int) -> None:
        """Score many programs, several at a time; `on_score` says what it is told, and in which order.

        Raises:
            SandboxError: a program can't be run; the session is then of no further use.
        """
        wanted = self.settings.num_workers or _default_workers()
        score_programs(self._scorers_upto(max(1, min(wanted, num_programs))), programs, on_score)

    def score_ahead(self, program: Callable[[], tuple[Problem, str]]) -> None:
        """Have a program scored in the background; who asks for its verdict finds it, or waits for it.

        One worker less than there are processors, for they are wanted elsewhere meanwhile. Raises as `Ahead.submit`.
        """
        with self._lock:
            if self._ahead is None:
                wanted = self.settings.num_workers or _default_workers()
                self._ahead = Ahead(self._scorers_upto(max(1, wanted - 1)))
        self._ahead.submit(program)

    def known(self, problem: Problem, program: str) -> CodeScore | None:
        """The verdict on a program that has been scored; None for another."""
        return self._book.known(problem, program)

    @property
    def description(self) -> str:
        """The sandbox in one line; opens it. Raises SandboxError where nothing can be run safely."""
        return self._scorers_upto(1)[0].sandbox.description

    def provenance(self, tasks: Sequence[str]) -> Mapping[str, str]:
        """See `scoring_provenance`."""
        found = {
            "sandbox": self.description,
            "sandbox_does_not_contain": NOT_CONTAINED[self._scorers_upto(1)[0].sandbox.tier],
            "sandbox_limits": limits_line(self.settings.limits),
            "evalplus": evalplus_version(),
        }
        for task, data in self._data.items():
            if task in tasks or (not tasks and data.is_here):
                found |= data.provenance
        return found

    def close(self) -> None:
        """End the sandboxes, whatever they are at."""
        if self._ahead is not None:
            self._ahead.close()
        self._stack.close()

    def _problems(self, task: str) -> CodeData:
        if task not in self._data:
            expected = " or ".join(CODE_TASKS)
            raise TaskError(f"no code problems for task {task!r}, expected {expected}{did_you_mean(task, CODE_TASKS)}")
        return self._data[task]

    def _scorers_upto(self, count: int) -> Sequence[CodeScorer]:
        """That many scorers, opened by the caller's thread: a sandbox's server ends with the thread that started it."""
        with self._lock:
            while len(self._scorers) < count:
                settings = self.settings.sandbox
                if self._scorers:  # never two tiers in one session
                    settings = replace(settings, tier=str(self._scorers[0].sandbox.tier))
                sandbox = self._stack.enter_context(Sandbox(settings))
                self._scorers.append(CodeScorer(sandbox, self.settings.limits, self._book))
            return self._scorers[:count]


def _default_workers() -> int:
    return min(len(os.sched_getaffinity(0)), _MAX_DEFAULT_WORKERS)


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


@contextmanager
def joined_session(settings: CodeTaskSettings) -> Iterator[CodeSession]:
    """The session that is open, left open; where there is none, one with these settings."""
    if _open_session is not None:
        yield _open_session
        return
    with session(settings) as opened:
        yield opened


def score_program(task: str, task_id: str, program: str) -> CodeScore:
    """The verdict on a whole program for a published problem, such as ("mbpp_plus", "Mbpp/2", …).

    A program that has been scored in this session is not run again, so this also serves to look up its details.

    Raises:
        SandboxError: no session is open, or the program could not be run: never a wrong answer.
        DataError: the problem's tests can't be had.
        TaskError: no such task.
    """
    opened = current_session()
    return opened.score(opened.problem(task, task_id), program)


def open_session() -> CodeSession | None:
    """The open session, or None."""
    return _open_session


def current_session() -> CodeSession:
    """The open session. Raises SandboxError where there is none."""
    if _open_session is None:
        raise SandboxError("no code session is open: generated code is scored inside `with code_tasks.session(…)`")
    return _open_session


def score_against(problem: Problem, program: str) -> CodeScore:
    """The verdict on a whole program for a problem of the caller's own. Raises as `score_program` does."""
    return current_session().score(problem, program)


def scoring_provenance(*tasks: str) -> Mapping[str, str]:
    """How programs are scored in the open session: sandbox and probe, evalplus's version, data version and sha256.

    With no task named, of all tasks whose data is here. Opens the sandbox, so a machine that has none says so early.

    Raises:
        SandboxError: no session is open, or nothing can be run safely here.
        DataError: a named task's data can't be had.
    """
    return current_session().provenance(tasks)


def humaneval_plus_program(doc: Mapping[str, Any], completion: str) -> str:
    """The program a completion makes: the prompt and the completion, as stock lm-eval runs it (no sanitising)."""
    return f"{doc['prompt']}{completion}"


def process_humaneval_plus(doc: Mapping[str, Any], results: Sequence[str]) -> Mapping[str, float]:
    """lm-eval's `process_results` for humaneval_plus."""
    program = humaneval_plus_program(doc, results[0])
    return _metrics(score_program(HUMANEVAL_PLUS, str(doc["task_id"]), program))


def process_humaneval(doc: Mapping[str, Any], results: Sequence[str]) -> Mapping[str, float]:
    """lm-eval's `process_results` for humaneval: the base tests alone."""
    problem = base_problem(current_session(), str(doc["task_id"]))
    return {"pass@1": float(score_against(problem, humaneval_plus_program(doc, results[0])).base)}


def base_problem(session: CodeSession, task_id: str) -> Problem:
    """A problem of HumanEval: that of HumanEval+ without its further tests. Raises as `CodeSession.problem`."""
    return replace(session.problem(HUMANEVAL_PLUS, task_id), plus_inputs=())


def process_evalplus_humaneval(doc: Mapping[str, Any], results: Sequence[str]) -> Mapping[str, float]:
    """lm-eval's `process_results` for evalplus_humaneval."""
    problem = current_session().problem(HUMANEVAL_PLUS, str(doc["task_id"]))
    return _metrics(score_against(problem, sanitized(humaneval_prompt(doc), results[0], problem.entry_point)))


def process_evalplus_mbpp(doc: Mapping[str, Any], results: Sequence[str]) -> Mapping[str, float]:
    """lm-eval's `process_results` for evalplus_mbpp."""
    problem = current_session().problem(MBPP_PLUS, f"Mbpp/{doc['task_id']}")
    return _metrics(score_against(problem, sanitized(mbpp_prompt(doc), results[0], problem.entry_point)))


def process_mbpp_plus(doc: Mapping[str, Any], results: Sequence[str]) -> Mapping[str, float]:
    """lm-eval's `process_results` for mbpp_plus: the completion up to its stop is the program, as in stock lm-eval."""
    return _metrics(score_program(MBPP_PLUS, f"Mbpp/{doc['task_id']}", results[0]))


def limits_line(limits: Limits) -> str:
    """What one program may use, in words."""
    mebibytes = limits.memory_bytes // MEBIBYTE
    return f"{limits.call_seconds:g} CPU s a call, {limits.total_seconds:g} CPU s in all, {mebibytes} MiB of memory"


def _metrics(score: CodeScore) -> Mapping[str, float]:
    return {"pass@1": float(score.plus), "pass@1_base": float(score.base)}
