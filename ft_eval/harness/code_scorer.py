"""Scores programs: runs them in the sandbox, judges their answers here, and remembers what it has scored.

Expected answers are computed by running the reference in a box of its own, once per problem and only for problems that
are scored. A program runs once per test set, as in evalplus, and stops at its first wrong answer. Knows no lm-eval.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from threading import Lock

from ft_eval.errors import SandboxError
from ft_eval.harness.code_data import Problem
from ft_eval.harness.code_judge import EQUAL, EXACT, SAME_SET, NeedsWholeAnswerError, TestSetJudge
from ft_eval.sandbox.records import GIBIBYTE, MEBIBYTE, Answer, Calls, ExecutionResult, Limits, Outcome
from ft_eval.sandbox.sandbox import Sandbox

_REFERENCE_LIMITS = Limits(
    call_seconds=60.0, load_seconds=60.0, total_seconds=600.0, memory_bytes=6 * GIBIBYTE, output_bytes=GIBIBYTE
)
_OPAQUE = b'["o",'
"""How a value begins on the wire that is equal to none: see `sandbox.wire`."""
_MAX_WHOLE_BYTES = 16 * MEBIBYTE
"""No longer foreign text is parsed, whatever the reference answers: parsed, it takes twenty times as much memory."""
_MAX_WHOLE_SETS, _WHOLE_BYTES = 8, 256 * MEBIBYTE
"""References' whole answers are kept for so many test sets and bytes: samples of one problem come together."""
_LONGEST_FLOAT = 8
"""How many times longer a float may be written than an equal or close one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeScore:
    """One program's verdict."""

    base: bool
    """Every test of the original benchmark passed."""
    plus: bool
    """Those and every further test passed."""
    outcome: Outcome
    """How the deciding run ended: the first that did not pass, else the last."""
    details: Mapping[str, str] = field(default_factory=dict)
    """The same in words: outcome, the test set and call that decided, seconds and memory."""
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    """Per test set that was run, how that ended; the sets after one that did not pass are not run."""


class ReferenceFailedError(SandboxError):
    """A problem's reference does not answer its own tests here, so nothing can be scored against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _TestSet:
    """Inputs and what the reference answers to them."""

    name: str
    inputs: tuple[bytes, ...]
    expected: tuple[Answer, ...]
    seconds: float
    """CPU seconds that the reference took."""


class ScoreBook:
    """What scorers have found so far. Several scorers, each in a thread of its own, may share one."""

    def __init__(self) -> None:
        self._scores: dict[tuple[Problem, str], Future[CodeScore]] = {}
        self.test_sets: dict[Problem, tuple[_TestSet, ...]] = {}
        self._whole: dict[tuple[Problem, str], _TestSet] = {}
        self._locks: defaultdict[Problem, Lock] = defaultdict(Lock)
        self._lock = Lock()

    def known(self, problem: Problem, program: str) -> CodeScore | None:
        """The verdict on a program that has been scored; None for another, and while it runs."""
        found = self._scores.get((problem, program))
        return found.result() if found is not None and found.done() and not found.exception() else None

    def score(self, problem: Problem, program: str, run: Callable[[], CodeScore], *, afresh: bool) -> CodeScore:
        """The verdict that is there, or that another thread is about to reach, or else what `run` finds.

        What raises is not kept: who asks next tries again.
        """
        key = (problem, program)
        with self._lock:
            found = None if afresh else self._scores.get(key)
            mine: Future[CodeScore] | None = None
            if found is None:
                found = self._scores[key] = mine = Future()
        if mine is not None:
            try:
                mine.set_result(run())
            except BaseException as error:
                with self._lock:
                    del self._scores[key]
                mine.set_exception(error)
                raise
        return found.result()

    def whole(self, problem: Problem, name: str, run: Callable[[], _TestSet]) -> _TestSet:
        """A test set with whole answers, or else what `run` finds. Those used last are kept, within bounds."""
        with self.lock(problem):
            with self._lock:
                found = self._whole.pop((problem, name), None)
            found = found or run()
            with self._lock:
                self._whole[(problem, name)] = found
                while len(self._whole) > _MAX_WHOLE_SETS or sum(map(_num_bytes, self._whole.values())) > _WHOLE_BYTES:
                    del self._whole[next(iter(self._whole))]
            return found

    def reference_seconds(self, problem: Problem) -> float:
        """See `CodeScorer.reference_seconds`."""
        return sum(one.seconds for one in self.test_sets.get(problem, ()))

    def lock(self, problem: Problem) -> Lock:
        """Held while a problem's reference runs, so that it runs once."""
        with self._lock:
            return self._locks[problem]


class CodeScorer:
    """Scores programs in one open sandbox."""

    def __init__(self, sandbox: Sandbox, limits: Limits, book: ScoreBook | None = None) -> None:
        self.sandbox, self._limits = sandbox, limits
        self._book = book or ScoreBook()

    def score(self, problem: Problem, program: str, *, afresh: bool = False) -> CodeScore:
        """The verdict on a program; the same program for the same problem is run once, unless `afresh`.

        Raises:
            ReferenceFailedError: the reference it is measured by does not answer.
            SandboxError: the program could not be run at all.
        """
        return self._book.score(problem, program, lambda: self._score(problem, program), afresh=afresh)

    def reference_seconds(self, problem: Problem) -> float:
        """CPU seconds that the problem's reference took for all of its calls; 0 while it has not been run."""
        return self._book.reference_seconds(problem)

    def _score(self, problem: Problem, program: str) -> CodeScore:
        passed, result, name = 0, None, ""
        outcomes: dict[str, Outcome] = {}
        test_sets = self._expected(problem)
        for test_set in test_sets:
            name, result = test_set.name, self._run(problem, program, test_set)
            outcomes[name] = result.outcome
            if result.outcome is not Outcome.PASSED:
                break
            passed += 1
        assert result is not None, "a problem has a base test set"
        return CodeScore(
            base=passed >= 1,
            plus=passed == len(test_sets),
            outcome=result.outcome,
            details=_details(name, result),
            outcomes=outcomes,
        )

    def _run(self, problem: Problem, program: str, test_set: _TestSet) -> ExecutionResult:
        """One program on one test set; again with whole answers where digests can't tell."""
        calls = _calls(problem, program, test_set.inputs, self._limits)
        calls = replace(calls, reference_seconds=tuple(answer.seconds for answer in test_set.expected))
        try:
            return self.sandbox.run_calls(calls, _judge(problem, test_set, self._limits.digest_bytes))
        except NeedsWholeAnswerError:
            return self._run_with_whole_answers(problem, calls, test_set)

    def _run_with_whole_answers(self, problem: Problem, calls: Calls, test_set: _TestSet) -> ExecutionResult:
        whole = self._book.whole(
            problem,
            test_set.name,
            lambda: self._run_reference(problem, test_set.name, test_set.inputs, _MAX_WHOLE_BYTES),
        )
        longest = max(len(answer.text or b"") for answer in whole.expected)
        allowed = min(_MAX_WHOLE_BYTES, _LONGEST_FLOAT * longest + self._limits.digest_bytes)
        limits = replace(self._limits, digest_bytes=allowed, output_bytes=allowed * len(whole.expected))
        judge = _judge(problem, whole, allowed)

        def judge_whole(answer: Answer) -> bool:
            try:
                return judge(answer)
            except NeedsWholeAnswerError:  # still too long: nothing close to the expected answer is
                return False

        return self.sandbox.run_calls(replace(calls, limits=limits), judge_whole)

    def _expected(self, problem: Problem) -> tuple[_TestSet, ...]:
        with self._book.lock(problem):
            if problem not in self._book.test_sets:
                named = (("base", problem.base_inputs), ("plus", problem.plus_inputs))
                digest_bytes = self._limits.digest_bytes
                self._book.test_sets[problem] = tuple(
                    self._run_reference(problem, name, inputs, digest_bytes) for name, inputs in named if inputs
                )
            return self._book.test_sets[problem]

    def _run_reference(self, problem: Problem, name: str, inputs: tuple[bytes, ...], digest_bytes: int) -> _TestSet:
        limits = replace(_REFERENCE_LIMITS, digest_bytes=digest_bytes)
        result = self.sandbox.run_calls(_calls(problem, problem.reference, inputs, limits))
        if result.outcome is not Outcome.PASSED:
            raise ReferenceFailedError(
                f"the reference solution of {problem.task_id} ended {result.outcome} ({result.detail}) on its {name} "
                "tests, so nothing can be scored against it; mend the problem, or see to this machine's memory and load"
            )
        if problem.oracle in (EXACT, EQUAL) and any(
            (answer.text or b"").startswith(_OPAQUE) for answer in result.answers
        ):
            raise ReferenceFailedError(
                f"the reference solution of {problem.task_id} returns what equals nothing on its {name} tests, so no "
                "program could pass them; mend the problem"
            )
        seconds = sum(answer.seconds for answer in result.answers)
        return _TestSet(name=name, inputs=inputs, expected=result.answers, seconds=seconds)


def _num_bytes(test_set: _TestSet) -> int:
    return sum(len(answer.text or b"") for answer in test_set.expected)


def _judge(problem: Problem, test_set: _TestSet, digest_bytes: int) -> TestSetJudge:
    return TestSetJudge(
        oracle=problem.oracle,
        atol=problem.atol,
        inputs=test_set.inputs,
        expected=test_set.expected,
        digest_bytes=digest_bytes,
    )


def _calls(problem: Problem, program: str, inputs: tuple[bytes, ...], limits: Limits) -> Calls:
    return Calls(
        program=program,
        entry_point=problem.entry_point,
        inputs=inputs,
        expand_iterators=problem.oracle == SAME_SET,
        limits=limits,
    )


def _details(name: str, result: ExecutionResult) -> Mapping[str, str]:
    found = {
        "outcome": str(result.outcome),
        "tests": name,
        "detail": result.detail,
        "answers": str(result.num_answers),
        "peak_memory_bytes": str(result.peak_memory_bytes),
    }
    return {key: value for key, value in found.items() if value}
