"""Many programs, several scorers: a thread each, with a sandbox of its own, and one score book for all.

The work is done by the sandboxes' processes; a thread waits for its program and judges its answers. Whatever ends the
batch early (an error, Ctrl-C) ends what runs. `Ahead` takes programs one by one, while their writer goes on writing:
it changes when a verdict is reached, and no verdict. Knows no task.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from threading import Event, Lock, Thread

from ft_eval.harness.code_data import Problem
from ft_eval.harness.code_scorer import CodeScore, CodeScorer, ReferenceFailedError

Programs = Iterable[tuple[Problem, str]]
OnScore = Callable[[int, CodeScore | ReferenceFailedError], None]
"""Told a program's number, from 0, and its verdict, or that its problem's reference failed; in the caller's thread."""

_SECONDS_BETWEEN_STOPS = 0.2
_NUM_NEAR = 256
"""Programs that are held at a time, to choose the next from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What a worker says: a verdict, the error that ends the batch, or, with neither, that nothing is left to do."""

    number: int = 0
    verdict: CodeScore | ReferenceFailedError | None = None
    error: BaseException | None = None


def score_programs(scorers: Sequence[CodeScorer], programs: Programs, on_score: OnScore) -> None:
    """Score programs, each by whichever scorer is free; verdicts come in the order in which they are reached.

    Raises:
        SandboxError: a program could not be run at all.
        FtEvalError: as reading `programs` raises.
    """
    batch = _Batch(programs)
    threads = [Thread(target=batch.work, args=(scorer,), daemon=True) for scorer in scorers]
    for thread in threads:
        thread.start()
    try:
        num_busy = len(threads)
        while num_busy:
            report = batch.reports.get()
            _raise(report.error)
            if report.verdict is None:
                num_busy -= 1
            else:
                on_score(report.number, report.verdict)
    except BaseException:
        batch.is_over.set()
        for scorer, thread in zip(scorers, threads, strict=True):
            while thread.is_alive():
                scorer.sandbox.stop()
                thread.join(_SECONDS_BETWEEN_STOPS)
        raise
    for thread in threads:
        thread.join()


class Ahead:
    """Scores what it is given in the background, into the score book that its scorers share."""

    def __init__(self, scorers: Sequence[CodeScorer]) -> None:
        self._scorers = scorers
        self._asked: SimpleQueue[Callable[[], tuple[Problem, str]] | None] = SimpleQueue()
        self._error: BaseException | None = None
        self._is_over = False
        self._threads = [Thread(target=self._work, args=(scorer,), daemon=True) for scorer in scorers]
        for thread in self._threads:
            thread.start()

    def submit(self, program: Callable[[], tuple[Problem, str]]) -> None:
        """Take a program; it is made, and its problem read, in the background.

        Raises:
            FtEvalError: what went wrong with one that was submitted before.
        """
        _raise(self._error)
        self._asked.put(program)

    def close(self) -> None:
        """Drop what has not begun and end what runs."""
        self._is_over = True
        for _ in self._threads:
            self._asked.put(None)
        for scorer, thread in zip(self._scorers, self._threads, strict=True):
            thread.join(_SECONDS_BETWEEN_STOPS)
            while thread.is_alive():
                scorer.sandbox.stop()
                thread.join(_SECONDS_BETWEEN_STOPS)

    def _work(self, scorer: CodeScorer) -> None:
        while (program := self._asked.get()) is not None and not self._is_over:
            try:
                scorer.score(*program())
            except BaseException as error:  # noqa: BLE001 — raised again in the submitter's thread
                self._error = error
                return


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


@dataclass(frozen=True, slots=True, eq=False)
class _Near:
    """A program that is about to be scored."""

    number: int
    problem: Problem
    program: str
    seconds: float
    """What its problem's reference takes; 0 where it has not been run when the program came near."""


class _Batch:
    """The programs that are left, and what the workers have to say."""

    def __init__(self, programs: Programs) -> None:
        self.reports: SimpleQueue[_Report] = SimpleQueue()
        self.is_over = Event()
        self._left: Iterator[tuple[int, tuple[Problem, str]]] = enumerate(programs)
        self._near: list[_Near] = []
        self._lock = Lock()

    def work(self, scorer: CodeScorer) -> None:
        """Score until nothing is left."""
        try:
            while (taken := self._take(scorer)) is not None:
                number, (problem, program) = taken
                self.reports.put(_Report(number=number, verdict=_verdict(scorer, problem, program)))
        except BaseException as error:  # noqa: BLE001 — raised again in the caller's thread
            self.reports.put(_Report(error=error))
        else:
            self.reports.put(_Report())

    def _take(self, scorer: CodeScorer) -> tuple[int, tuple[Problem, str]] | None:
        """Of the next programs the one that should take longest: begun last, it would run on alone."""
        with self._lock:
            if self.is_over.is_set():
                return None
            for number, (problem, program) in islice(self._left, _NUM_NEAR - len(self._near)):
                self._near.append(_Near(number, problem, program, scorer.reference_seconds(problem)))
            if not self._near:
                return None
            taken = max(self._near, key=lambda one: one.seconds)
            self._near.remove(taken)
            return taken.number, (taken.problem, taken.program)


def _verdict(scorer: CodeScorer, problem: Problem, program: str) -> CodeScore | ReferenceFailedError:
    try:
        return scorer.score(problem, program)
    except ReferenceFailedError as error:
        return error
