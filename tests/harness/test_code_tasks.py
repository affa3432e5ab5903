"""The code tasks give right programs 1 and all others 0, with stock lm-eval's prompts."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lm_eval.tasks
import pytest
import yaml
from lm_eval.tasks import TaskManager

from ft_eval.errors import DataError, SandboxError, TaskError
from ft_eval.harness import code_tasks
from ft_eval.harness.code_data import Problem
from ft_eval.resources import tasks_dir
from ft_eval.sandbox.records import Limits, Outcome
from ft_eval.sandbox.wire import encode
from tests.conftest import ROOT

TASKS = ("humaneval_plus", "mbpp_plus")
LIMITS = Limits(call_seconds=1.0, load_seconds=1.0, total_seconds=20.0)
SOME = [
    ("humaneval_plus", "HumanEval/0"),
    ("humaneval_plus", "HumanEval/2"),
    ("humaneval_plus", "HumanEval/32"),
    ("humaneval_plus", "HumanEval/53"),
    ("humaneval_plus", "HumanEval/105"),
    ("humaneval_plus", "HumanEval/160"),
    ("mbpp_plus", "Mbpp/2"),
    ("mbpp_plus", "Mbpp/14"),
    ("mbpp_plus", "Mbpp/124"),
    ("mbpp_plus", "Mbpp/558"),
    ("mbpp_plus", "Mbpp/581"),
    ("mbpp_plus", "Mbpp/737"),
]
DOUBLE = Problem(
    task_id="Test/0",
    entry_point="solve",
    reference="def solve(x):\n    return 2 * x",
    base_inputs=(encode([1]), encode([2])),
    plus_inputs=(encode([-1]), encode([10**30])),
)


@pytest.fixture(scope="module")
def opened(data_dir: Path) -> Iterator[code_tasks.CodeSession]:
    """An open session with a sandbox and the released tests."""
    settings = code_tasks.CodeTaskSettings(data_dir=data_dir, offline=True, limits=LIMITS)
    with code_tasks.session(settings) as session:
        try:
            code_tasks.scoring_provenance()
        except SandboxError as error:
            pytest.skip(f"no sandbox here: {error}")
        yield session


@pytest.fixture(scope="module")
def built(data_dir: Path) -> Mapping[str, Any]:
    """Both tasks, built by lm-eval from our folder alone, with the datasets found by their hub names."""
    before = Path.cwd()
    os.chdir(data_dir)
    try:
        manager = TaskManager(include_path=str(tasks_dir()), include_defaults=False)
        loaded: Mapping[str, Any] = manager.load(list(TASKS))["tasks"]
    finally:
        os.chdir(before)
    return loaded


@pytest.mark.parametrize(("task", "task_id"), SOME)
def test_the_published_solutions_pass(opened: code_tasks.CodeSession, task: str, task_id: str) -> None:
    score = code_tasks.score_program(task, task_id, opened.problem(task, task_id).reference)
    assert (score.base, score.plus, score.outcome) == (True, True, Outcome.PASSED), score


@pytest.mark.parametrize(("task", "task_id"), SOME)
@pytest.mark.parametrize(
    "change",
    [
        "{entry} = lambda *args: object()",
        "original = {entry}\ndef {entry}(*args):\n    result = original(*args)\n    return [result, result]",
        "del {entry}",
        "original = {entry}\ndef {entry}(*args):\n    original(*args)\n    raise ValueError",
        "class Any:\n    __eq__ = __le__ = lambda *args: True\n    __hash__ = None\n{entry} = lambda *args: Any()",
    ],
)
def test_changed_solutions_fail(opened: code_tasks.CodeSession, task: str, task_id: str, change: str) -> None:
    problem = opened.problem(task, task_id)
    if problem.oracle == "not_none" and ("object" in change or "Any" in change or "result" in change):
        pytest.skip("this problem asks for no more than something")
    score = code_tasks.score_program(task, task_id, problem.reference + "\n" + change.format(entry=problem.entry_point))
    assert not score.base
    assert not score.plus


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_all_published_solutions_pass(data_dir: Path, task: str) -> None:
    with code_tasks.session(code_tasks.CodeTaskSettings(data_dir=data_dir, offline=True)) as session:
        ids = session.task_ids(task)
        failed = [task_id for task_id in ids if not _own_solution_passes(session, task, task_id)]
    assert failed == []
    assert len(ids) == {"humaneval_plus": 164, "mbpp_plus": 378}[task]


def _own_solution_passes(session: code_tasks.CodeSession, task: str, task_id: str) -> bool:
    problem = session.problem(task, task_id)
    return session.score(problem, problem.reference + "\n").plus


def test_passing_the_base_tests_alone_is_told_apart(opened: code_tasks.CodeSession) -> None:
    score = code_tasks.score_against(DOUBLE, "def solve(x):\n    return abs(2 * x)")
    assert (score.base, score.plus, score.outcome) == (True, False, Outcome.FAILED)
    assert score.details["tests"] == "plus"
    assert score.outcomes == {"base": Outcome.PASSED, "plus": Outcome.FAILED}


def test_failing_the_base_tests_fails_both(opened: code_tasks.CodeSession) -> None:
    score = code_tasks.score_against(DOUBLE, "def solve(x):\n    return 2 * x if x != 2 else 0")
    assert (score.base, score.plus) == (False, False)
    assert score.details == {**score.details, "tests": "base", "outcome": "failed", "detail": "call 1: answer refused"}


def test_without_plus_tests_base_decides_both(opened: code_tasks.CodeSession) -> None:
    score = code_tasks.score_against(replace(DOUBLE, plus_inputs=()), "def solve(x):\n    return abs(2 * x)")
    assert (score.base, score.plus) == (True, True)


def test_a_program_is_run_once(opened: code_tasks.CodeSession) -> None:
    program = "def solve(x):\n    return x + x"
    assert code_tasks.score_against(DOUBLE, program) is code_tasks.score_against(DOUBLE, program)


def test_every_test_set_starts_from_a_fresh_program(opened: code_tasks.CodeSession) -> None:
    program = "calls = []\ndef solve(x):\n    calls.append(x)\n    return 2 * x if len(calls) <= 2 else None"
    assert code_tasks.score_against(DOUBLE, program).plus


def test_long_answers_are_scored_by_digest_and_by_tolerance(opened: code_tasks.CodeSession) -> None:
    floats = Problem(
        task_id="Test/1",
        entry_point="solve",
        reference="def solve(n):\n    return [k / 3 for k in range(n)]",
        base_inputs=(encode([3]), encode([30_000])),
    )
    for program, right in (
        ("def solve(n):\n    return [k / 3 for k in range(n)]", True),
        ("def solve(n):\n    return [k / 3 + 1e-9 for k in range(n)]", True),
        ("def solve(n):\n    return [k / 3 + (k == 29_999) for k in range(n)]", False),
        ("def solve(n):\n    return tuple(k / 3 for k in range(n))", False),
    ):
        assert code_tasks.score_against(floats, program).base is right, program
    whole = replace(floats, task_id="Test/2", reference="def solve(n):\n    return [float(k) for k in range(n)]")
    assert code_tasks.score_against(whole, "def solve(n):\n    return list(range(n))").base
    assert not code_tasks.score_against(whole, "def solve(n):\n    return list(range(n))[::-1]").base


def test_a_set_built_to_collide_wears_nobody_out(opened: code_tasks.CodeSession) -> None:
    problem = replace(DOUBLE, task_id="Test/3", reference="def solve(x):\n    return {1, 2}", oracle="same_set")
    program = "def solve(x):\n    return frozenset(n * ((1 << 61) - 1) for n in range(2000))"
    score = code_tasks.score_against(problem, program)
    assert not score.base


def test_a_reference_that_fails_is_no_verdict(opened: code_tasks.CodeSession) -> None:
    broken = replace(DOUBLE, task_id="Test/4", reference="def solve(x):\n    raise ValueError")
    with pytest.raises(SandboxError, match="reference solution of Test/4"):
        code_tasks.score_against(broken, "def solve(x):\n    return 2 * x")


def test_without_a_session_nothing_is_scored() -> None:
    outer = code_tasks._open_session
    code_tasks._open_session = None
    try:
        with pytest.raises(SandboxError, match="no code session is open"):
            code_tasks.score_program("mbpp_plus", "Mbpp/2", "")
    finally:
        code_tasks._open_session = outer


def test_sessions_nest_and_close(opened: code_tasks.CodeSession, tmp_path: Path) -> None:
    with code_tasks.session(code_tasks.CodeTaskSettings(data_dir=tmp_path, offline=True)) as inner:
        assert code_tasks.current_session() is inner
        with code_tasks.joined_session(code_tasks.CodeTaskSettings(offline=True)) as joined:
            assert joined is inner
        assert code_tasks.current_session() is inner
    assert code_tasks.current_session() is opened


def test_unknown_tasks_and_problems_are_named(opened: code_tasks.CodeSession) -> None:
    with pytest.raises(TaskError, match="did you mean mbpp_plus"):
        code_tasks.score_program("mbp_plus", "Mbpp/2", "")
    with pytest.raises(DataError, match="no problem Mbpp/1"):
        code_tasks.score_program("mbpp_plus", "Mbpp/1", "")


def test_the_record_says_how_it_was_scored(opened: code_tasks.CodeSession) -> None:
    record = code_tasks.scoring_provenance("mbpp_plus")
    assert record["evalplus"]
    assert "probe" in record["sandbox"]
    assert record["mbpp_plus_data"] == "MbppPlus v0.2.0"
    assert "humaneval_plus_data" not in record
    assert all(isinstance(value, str) for value in code_tasks.scoring_provenance().values())


def test_lm_eval_gets_both_metrics(opened: code_tasks.CodeSession, built: Mapping[str, Any]) -> None:
    for name, task in built.items():
        doc = task.eval_docs[0]
        completion = doc["canonical_solution"] if name == "humaneval_plus" else doc["code"]
        assert task.process_results(doc, [completion]) == {"pass@1": 1.0, "pass@1_base": 1.0}
        assert task.process_results(doc, ["    return None"]) == {"pass@1": 0.0, "pass@1_base": 0.0}
        assert list(task.aggregation()) == ["pass@1", "pass@1_base"]
        assert set(task.higher_is_better().values()) == {True}


def stock_config(name: str) -> Mapping[str, Any]:
    """A stock task's settings, with its includes, read as text: its functions can't be loaded offline."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda _loader, node: f"!function {node.value}")
    folder = Path(lm_eval.tasks.__file__).parent / name.partition("_")[0]
    config: dict[str, Any] = {}
    file: str | None = f"{name}.yaml"
    while file:
        found = yaml.load((folder / file).read_text(), Loader)  # noqa: S506 (a SafeLoader's subclass)
        config, file = {**found, **config}, found.get("include")
    return config


def stock_shots() -> list[dict[str, Any]]:
    """MBPP's examples, read from stock lm-eval's source without running it."""
    source = (Path(lm_eval.tasks.__file__).parent / "mbpp" / "utils.py").read_text()
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    (statement,) = functions["list_fewshot_samples"].body
    assert isinstance(statement, ast.Return)
    assert statement.value is not None
    shots: list[dict[str, Any]] = ast.literal_eval(statement.value)
    return shots


@pytest.mark.parametrize("name", TASKS)
def test_settings_that_shape_the_answer_are_stock(built: Mapping[str, Any], name: str) -> None:
    stock, ours = stock_config(name), built[name].config
    for key in ("dataset_path", "dataset_name", "test_split", "doc_to_text", "doc_to_target", "num_fewshot"):
        assert getattr(ours, key) == stock.get(key), key
    assert ours.generation_kwargs == stock["generation_kwargs"]
    assert ours.target_delimiter == stock.get("target_delimiter", " ")
    assert ours.repeats == 1
    assert ours.unsafe_code is False


@pytest.mark.parametrize("name", TASKS)
def test_prompts_are_stock(
    built: Mapping[str, Any], data_dir: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stock settings with the functions taken out, built by lm-eval, give the same prompts to the letter."""
    kept = {"dataset_path", "dataset_name", "output_type", "test_split", "doc_to_text", "doc_to_target"}
    kept |= {"target_delimiter", "generation_kwargs", "num_fewshot", "metadata"}
    stock = {key: value for key, value in stock_config(name).items() if key in kept}
    stock |= {"task": f"stock_{name}", "metric_list": [{"metric": "bypass"}]}
    if name == "mbpp_plus":
        stock["fewshot_config"] = {"sampler": "first_n", "samples": stock_shots()}
    monkeypatch.chdir(data_dir)
    theirs = TaskManager(include_defaults=False).load([stock])["tasks"][f"stock_{name}"]
    ours = built[name]
    assert len(ours.eval_docs) == len(theirs.eval_docs)
    for doc in list(ours.eval_docs)[::40]:
        shots = ours.config.num_fewshot
        assert ours.fewshot_context(doc, shots) == theirs.fewshot_context(doc, shots)
        assert ours.doc_to_target(doc) == theirs.doc_to_target(doc)


def test_loading_the_tasks_runs_nothing_and_imports_no_stock_scorer(data_dir: Path) -> None:
    program = (
        "import json, sys\nfrom lm_eval.tasks import TaskManager\n"
        f"manager = TaskManager(include_path={str(tasks_dir())!r}, include_defaults=False)\n"
        f"manager.load({list(TASKS)!r})\n"
        "heavy = [name for name in ('evaluate', 'evalplus', 'torch') if name in sys.modules]\n"
        "print(json.dumps([heavy, [name for name in sys.modules if 'lm_eval.tasks.' in name]]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=data_dir, env=environment, capture_output=True, text=True, check=True)
    heavy, stock = json.loads(done.stdout.splitlines()[-1])
    assert "evaluate" not in heavy
    assert "evalplus" not in heavy
    assert not [name for name in stock if "humaneval" in name or "mbpp" in name]
