"""Programs are judged beside the writing of others: once each, with the same verdicts, and no error is lost."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ft_eval.engine import Engine
from ft_eval.errors import SandboxError
from ft_eval.harness import code_documents, code_tasks, lm
from ft_eval.harness.code_data import Problem
from ft_eval.harness.code_scorer import CodeScore, CodeScorer, ScoreBook
from ft_eval.harness.evaluate import JobOutcome, evaluate_job
from ft_eval.harness.lm import FreeTransformerLM
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import LoadedTasks, TaskOptions, load_tasks
from ft_eval.records import Answer, Arm, Checkpoint, Job
from ft_eval.sandbox.records import Limits, Outcome
from tests.fakes import tiny_engine
from tests.harness.test_code_tasks import DOUBLE

NUM_DOCS = 4
VERDICT = CodeScore(base=True, plus=True, outcome=Outcome.PASSED)


@pytest.fixture(scope="module")
def loaded() -> LoadedTasks:
    return load_tasks(["toy_humaneval"], TaskOptions(limit=NUM_DOCS), DataSource(offline=True))


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    return tiny_engine(tmp_path_factory.mktemp("engine"), batch_size=1)


@pytest.fixture
def runs(monkeypatch) -> list[tuple[str, str]]:
    """Every program that is really run."""
    found: list[tuple[str, str]] = []
    run = CodeScorer._score

    def counted(self: CodeScorer, problem: Problem, program: str) -> CodeScore:
        found.append((problem.task_id, program))
        return run(self, problem, program)

    monkeypatch.setattr(CodeScorer, "_score", counted)
    return found


def evaluate(loaded: LoadedTasks, model: FreeTransformerLM) -> JobOutcome:
    checkpoint = Checkpoint(name="c", arm=Arm.BASELINE, path=Path("c"), digest="d")
    job = Job(checkpoint=checkpoint, task=loaded.specs[0], latents=None, seed=3)
    return evaluate_job(job, loaded.tasks["toy_humaneval"], model, {})


def test_a_program_has_its_verdict_while_the_model_still_writes(loaded, engine, session, runs) -> None:
    answers: list[Answer] = []

    def wait_for_the_first(answer: Answer) -> None:
        answers.append(answer)
        if len(answers) == NUM_DOCS:  # the last is written, and not yet handed to anybody
            until = time.monotonic() + 30
            while not runs and time.monotonic() < until:
                time.sleep(0.01)
            assert runs

    outcome = evaluate(loaded, FreeTransformerLM(engine, seed=3, on_answer=wait_for_the_first))
    assert len(outcome.samples) == NUM_DOCS


def test_each_program_runs_once_and_scores_as_without(loaded, engine, session, runs, monkeypatch) -> None:
    ahead = evaluate(loaded, FreeTransformerLM(engine, seed=3))
    asked = {sample.doc_id: sample.responses[0] for sample in ahead.samples}
    assert len(runs) == len(asked)
    monkeypatch.setattr(lm, "score_ahead", lambda *_: None)
    with code_tasks.session(session.settings):
        later = evaluate(loaded, FreeTransformerLM(engine, seed=3))
    assert [(one.responses, one.metrics) for one in ahead.samples] == [
        (one.responses, one.metrics) for one in later.samples
    ]


def test_an_error_in_the_background_stops_the_writing(loaded, engine, session, monkeypatch) -> None:
    answers: list[Answer] = []
    has_failed = threading.Event()

    def fail(self: CodeScorer, problem: Problem, program: str) -> CodeScore:
        has_failed.set()
        raise SandboxError("the box is broken")

    def wait(answer: Answer) -> None:
        answers.append(answer)
        assert len(answers) == 1 or has_failed.wait(30)
        time.sleep(0.2)

    monkeypatch.setattr(CodeScorer, "_score", fail)
    with pytest.raises(SandboxError, match="the box is broken"):
        evaluate(loaded, FreeTransformerLM(engine, seed=3, on_answer=wait))
    assert len(answers) < NUM_DOCS


def test_a_session_that_ends_ends_what_runs(session) -> None:
    limits = Limits(call_seconds=1000.0, total_seconds=1000.0)
    start = time.monotonic()
    with code_tasks.session(code_tasks.CodeTaskSettings(offline=True, limits=limits)) as opened:
        opened.score_ahead(lambda: (DOUBLE, "def solve(x):\n    while True: pass"))
        opened.score_ahead(lambda: (DOUBLE, "def solve(x):\n    return 2 * x"))
        time.sleep(0.5)
    assert time.monotonic() - start < 30


def test_without_a_session_nothing_is_judged_and_nothing_is_raised() -> None:
    code_documents.score_ahead("toy_humaneval", {}, "anything")


def test_who_asks_while_a_program_runs_waits_for_its_verdict() -> None:
    book, runs, may_end = ScoreBook(), [], threading.Event()

    def run() -> CodeScore:
        runs.append(1)
        assert may_end.wait(30)
        return VERDICT

    def ask() -> CodeScore:
        return book.score(DOUBLE, "program", run, afresh=False)

    with ThreadPoolExecutor(3) as threads:
        asked: list[Any] = [threads.submit(ask) for _ in range(3)]
        assert book.known(DOUBLE, "program") is None
        may_end.set()
        assert [one.result(30) for one in asked] == [VERDICT] * 3
    assert runs == [1]
    assert book.known(DOUBLE, "program") == VERDICT


def test_what_raised_is_tried_again() -> None:
    book = ScoreBook()

    def fail() -> CodeScore:
        raise SandboxError("no")

    with pytest.raises(SandboxError):
        book.score(DOUBLE, "program", fail, afresh=False)
    assert book.known(DOUBLE, "program") is None
    assert book.score(DOUBLE, "program", lambda: VERDICT, afresh=False) == VERDICT
