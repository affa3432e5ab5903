"""Completions made elsewhere, in evalplus's sample format, scored problem by problem: what `ft-eval score` does.

A line is {"task_id", "solution"}, a whole program, or {"task_id", "completion"}, what goes behind the problem's prompt;
where a line has both, the solution counts, as in evalplus. Several lines of one task_id are several samples. pass@k is
evalplus's: the mean over problems of the unbiased estimate, for each k of 1, 10 and 100 that every problem has samples
for. Knows no model and no screen.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path

from ft_eval.errors import DataError, did_you_mean
from ft_eval.harness.code_data import Problem
from ft_eval.harness.code_lines import parse_line, read_lines
from ft_eval.harness.code_scorer import CodeScore, ReferenceFailedError
from ft_eval.harness.code_tasks import CodeSession
from ft_eval.stats.pass_at_k import pass_at_k

_SIZES = (1, 10, 100)
_MAX_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """One line of a samples file."""

    task_id: str
    text: str
    is_whole: bool
    """Whether the text is a whole program; else it goes behind the problem's prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFile:
    """A samples file that fits its problems."""

    solutions: tuple[Solution, ...]
    missing: tuple[str, ...]
    """Problems without a sample."""
    num_repeated: int
    """Samples that say word for word what an earlier one of their problem says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRate:
    """pass@k, from 0 to 1, of both test sets."""

    base: float
    plus: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSamples:
    """A samples file with its verdicts."""

    file: SampleFile
    scores: tuple[CodeScore, ...]
    """In the file's order."""
    rates: Mapping[int, PassRate]
    """By k."""
    num_problems: int
    """Those with samples; the rates are means over these."""


def read_solutions(path: Path, session: CodeSession, task: str, *, is_partial: bool = False) -> SampleFile:
    """A samples file (.jsonl, plain or gzipped), checked against the task's problems before anything is run.

    Raises:
        DataError: a line that is no sample, an unknown problem, no sample at all, or, unless `is_partial`, a problem
            without one: evalplus scores no such file either, and a mean over fewer problems is another number.
        TaskError: no such task.
    """
    known = session.task_ids(task)
    if path.is_dir():
        raise DataError(
            f"{path} is a folder; expected a file of samples, {{task_id, solution}} or {{task_id, completion}} a line"
        )
    lines = read_lines(path, "expected a file of samples, a JSON object a line")
    solutions = tuple(_solution(f"{path}:{number}", line) for number, line in lines)
    if not solutions:
        raise DataError(
            f"{path} has no samples; expected {{task_id, solution}} or {{task_id, completion}} on each line"
        )
    _refuse_unknown(path, lines, solutions, known)
    sampled = {solution.task_id for solution in solutions}
    missing = tuple(task_id for task_id in known if task_id not in sampled)
    if missing and not is_partial:
        raise DataError(
            f"{path} has no sample for {len(missing)} of {len(known)} problems ({_names(missing)}); complete it, or "
            f"pass --partial to score the {len(sampled)} that have one"
        )
    return SampleFile(solutions=solutions, missing=missing, num_repeated=len(solutions) - len(set(solutions)))


def score_solutions(
    session: CodeSession, task: str, file: SampleFile, on_score: Callable[[int], None] = lambda _num_done: None
) -> ScoredSamples:
    """Run and judge every sample; `on_score` is told how many are done.

    Raises:
        SandboxError: a program, or a problem's own reference, could not be run.
        DataError: a problem's inputs can't be read.
    """
    scores: list[CodeScore | None] = [None] * len(file.solutions)
    order = _spread(file.solutions)
    num_done = 0

    def programs() -> Iterator[tuple[Problem, str]]:
        for position in order:
            problem = session.problem(task, file.solutions[position].task_id)
            yield problem, _program(problem, file.solutions[position])

    def take(number: int, verdict: CodeScore | ReferenceFailedError) -> None:
        nonlocal num_done
        if isinstance(verdict, ReferenceFailedError):
            raise verdict
        scores[order[number]] = verdict
        num_done += 1
        on_score(num_done)

    session.score_all(programs(), take, len(order))
    found = tuple(score for score in scores if score is not None)
    assert len(found) == len(scores), "every sample has a verdict"
    counts = Counter(solution.task_id for solution in file.solutions)
    return ScoredSamples(file=file, scores=found, rates=_rates(file.solutions, found, counts), num_problems=len(counts))


def _solution(where: str, line: str) -> Solution:
    try:
        row = parse_line(line)
    except ValueError as error:
        raise DataError(
            f"{where} is no JSON ({error}); expected {{task_id, solution}} or {{task_id, completion}}"
        ) from error
    if not isinstance(row, dict):
        raise DataError(f"{where} is no JSON object; expected {{task_id, solution}} or {{task_id, completion}}")
    field = "solution" if "solution" in row else "completion"
    if absent := [name for name in ("task_id", field) if name not in row]:
        raise DataError(f"{where} has no {'solution or completion' if absent[-1] == field else absent[0]}")
    for name in ("task_id", field):
        if not isinstance(row[name], str):
            raise DataError(
                f"{where}: {name} must be a text, not {type(row[name]).__name__}; repeat the line for several"
            )
    return Solution(task_id=row["task_id"], text=row[field], is_whole=field == "solution")


def _refuse_unknown(
    path: Path, lines: Sequence[tuple[int, str]], solutions: Sequence[Solution], known: Sequence[str]
) -> None:
    names = set(known)
    for (number, _), solution in zip(lines, solutions, strict=True):
        if solution.task_id not in names:
            raise DataError(
                f"{path}:{number}: no problem {solution.task_id!r} among the {len(known)} of this task"
                f"{did_you_mean(solution.task_id, known) or f'; they are named like {known[0]}' if known else ''}"
            )


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_NAMED]) + (", …" if len(names) > _MAX_NAMED else "")


def _program(problem: Problem, solution: Solution) -> str:
    return solution.text if solution.is_whole else problem.prompt + solution.text


def _spread(solutions: Sequence[Solution]) -> list[int]:
    """Positions, first the first sample of every problem, then the second: workers rarely wait for one reference."""
    seen: Counter[str] = Counter()
    ranked = []
    for position, solution in enumerate(solutions):
        ranked.append((seen[solution.task_id], position))
        seen[solution.task_id] += 1
    return [position for _, position in sorted(ranked)]


def _rates(
    solutions: Sequence[Solution], scores: Sequence[CodeScore], counts: Mapping[str, int]
) -> Mapping[int, PassRate]:
    right: dict[str, Counter[str]] = {"base": Counter(), "plus": Counter()}
    for solution, score in zip(solutions, scores, strict=True):
        right["base"][solution.task_id] += score.base
        right["plus"][solution.task_id] += score.plus

    def rate(tests: str, k: int) -> float:
        return fsum(_pass_at_k(n, right[tests][task_id], k) for task_id, n in counts.items()) / len(counts)

    return {k: PassRate(base=rate("base", k), plus=rate("plus", k)) for k in _SIZES if min(counts.values()) >= k}


def _pass_at_k(n: int, c: int, k: int) -> float:
    return c / n if k == 1 else pass_at_k(n, c, k)  # the same number, without its last bit's error
