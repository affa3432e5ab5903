"""humaneval and mbpp are asked as stock lm-eval asks, the evalplus tasks as evalplus does, and all score by name."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from evalplus.provider.utility import EOS, extra_eos_for_direct_completion
from lm_eval.tasks._yaml_loader import load_yaml

from ft_eval.errors import SandboxError
from ft_eval.harness import code_tasks
from ft_eval.harness.code_data import MBPP_PLUS, benchmarks_of
from ft_eval.harness.code_documents import code_task
from ft_eval.harness.evalplus_prompts import MAX_LINES, humaneval_prompt, mbpp_prompt, sanitized
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import LoadedTasks, TaskOptions, load_tasks
from ft_eval.resources import tasks_dir

NAMES = ("humaneval", "mbpp", "evalplus_humaneval", "evalplus_mbpp")
STOCK = (
    "doc_to_text",
    "doc_to_target",
    "target_delimiter",
    "generation_kwargs",
    "num_fewshot",
    "dataset_path",
    "dataset_name",
)


@pytest.fixture(scope="module")
def loaded(data_dir: Path) -> LoadedTasks:
    return load_tasks(NAMES, TaskOptions(), DataSource(data_dir=data_dir, offline=True))


@pytest.fixture(scope="module")
def session(data_dir: Path) -> Iterator[code_tasks.CodeSession]:
    with code_tasks.session(code_tasks.CodeTaskSettings(data_dir=data_dir, offline=True)) as opened:
        try:
            _ = opened.description
        except SandboxError as error:
            pytest.skip(f"no sandbox here: {error}")
        yield opened


def docs(loaded: LoadedTasks, name: str) -> list[Mapping[str, Any]]:
    return list(loaded.tasks[name].eval_docs)


@pytest.mark.parametrize("name", ["humaneval", "mbpp"])
def test_prompt_stops_and_shots_are_stocks(name: str) -> None:
    ours = load_yaml(tasks_dir() / name / f"{name}.yaml", resolve_func=False)
    stock = load_yaml(Path(lm_eval.__file__).parent / "tasks" / name / f"{name}.yaml", resolve_func=False)
    assert {key: ours.get(key) for key in STOCK} == {key: stock.get(key) for key in STOCK}


def test_the_prompts_are_those_of_evalplus_release(loaded: LoadedTasks, session: code_tasks.CodeSession) -> None:
    for doc in docs(loaded, "evalplus_humaneval"):
        problem = session.problem("humaneval_plus", doc["task_id"])
        assert loaded.tasks["evalplus_humaneval"].doc_to_text(doc) == problem.prompt.strip() + "\n"
    for doc in docs(loaded, "evalplus_mbpp"):
        line = session._problems(MBPP_PLUS)._lines[f"Mbpp/{doc['task_id']}"]
        assert f'"prompt": {_json(mbpp_prompt(doc))}'.replace(" ", "") in line.replace(" ", "")


def _json(text: str) -> str:
    import json

    return json.dumps(text)


@pytest.mark.parametrize(("name", "theirs"), [("evalplus_humaneval", "humaneval"), ("evalplus_mbpp", "mbpp")])
def test_the_stops_are_evalplus(loaded: LoadedTasks, name: str, theirs: str) -> None:
    stops = loaded.tasks[name].config.generation_kwargs["until"]
    assert stops == [*EOS, *extra_eos_for_direct_completion(theirs)]


@pytest.mark.parametrize("name", NAMES)
def test_own_solutions_score_1_and_others_0(loaded: LoadedTasks, session: code_tasks.CodeSession, name: str) -> None:
    reading = code_task(name)
    assert reading is not None
    assert next(spec for spec in loaded.specs if spec.name == name).runs_code
    task = loaded.tasks[name]
    for doc in docs(loaded, name)[:2]:
        right = doc["canonical_solution"] if "humaneval" in name else doc["code"]
        assert task.process_results(doc, [right])["pass@1"] == 1.0
        assert task.process_results(doc, ["    return None\n"])["pass@1"] == 0.0
        problem = reading.problem(session, doc)
        assert session.known(problem, reading.program(problem, doc, right)) is not None  # what is run is what is read
        assert bool(problem.plus_inputs) == name.startswith("evalplus")


def test_the_sanitizer_is_evalplus_and_takes_anything() -> None:
    chatty = "    return x + 1\n\nThis adds one.\n"
    assert sanitized("def f(x):\n", chatty, "f") == "def f(x):\n    return x + 1"
    assert sanitized("def f(x):\n", "\treturn x", "f") == "def f(x):\n    return x"
    long = "    x = 1\n" * (MAX_LINES + 1)
    assert sanitized("def f(x):\n", long, "f") == f"def f(x):\n{long}"
    for odd in ("\0", "(" * 5000, "\ud800", ""):
        assert isinstance(sanitized("def f(x):\n", odd, "f"), str)


def test_the_prompt_of_humaneval_ends_with_one_line_break() -> None:
    assert humaneval_prompt({"prompt": "\ndef f():\n    pass\n\n"}) == "def f():\n    pass\n"


def test_each_benchmarks_tests_are_needed_once() -> None:
    assert benchmarks_of(["gsm8k", "humaneval", "evalplus_humaneval", "evalplus_mbpp"]) == ("humaneval_plus", MBPP_PLUS)
