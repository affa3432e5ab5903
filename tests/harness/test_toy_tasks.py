"""The toy tasks load from anywhere, and score gold answers 1 and wrong ones 0."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager

from ft_eval.errors import DataError, SandboxError
from ft_eval.harness import code_tasks, toy_tasks
from ft_eval.harness.code_judge import EXACT
from ft_eval.resources import tasks_dir
from ft_eval.toy.corpora.target import clean_body

NAMES = ("toy_gsm8k", "toy_mmlu", "toy_humaneval", "toy_target")
_NUM_CHECKED = 5


@pytest.fixture(scope="module")
def tasks() -> Mapping[str, Any]:
    """The four tasks, built by lm-eval itself from our folder alone."""
    manager = TaskManager(include_path=str(tasks_dir()), include_defaults=False)
    built: Mapping[str, Any] = manager.load(list(NAMES))["tasks"]
    return built


@pytest.fixture(scope="module")
def code_session() -> Iterator[None]:
    """An open sandbox, where this machine has one."""
    with code_tasks.session(code_tasks.CodeTaskSettings()) as session:
        try:
            session.provenance(["toy_humaneval"])
        except SandboxError as error:
            pytest.skip(f"no sandbox here: {error}")
        yield


def _docs(task: Any) -> list[dict[str, Any]]:
    return list(task.eval_docs)[:_NUM_CHECKED]


def _filtered(task: Any, doc: dict[str, Any], completion: str) -> dict[str, dict[str, float]]:
    """Per filter, the metrics of one completion, through the task's own filters."""
    scores = {}
    for ensemble in task._filters:
        request = Instance(request_type="generate_until", doc=doc, arguments=("", {}), idx=0)
        request.resps = [completion]
        ensemble.apply([request])
        scores[ensemble.name] = task.process_results(doc, [request.filtered_resps[ensemble.name]])
    return scores


def test_all_four_load_with_their_documents(tasks: Mapping[str, Any]) -> None:
    assert {name: len(tasks[name].eval_docs) for name in NAMES} == {
        "toy_gsm8k": 150,
        "toy_mmlu": 200,
        "toy_humaneval": 100,
        "toy_target": 130,
    }


def test_they_load_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    manager = TaskManager(include_path=str(tasks_dir()), include_defaults=False)
    assert len(manager.load(["toy_target"])["tasks"]["toy_target"].eval_docs) == 130


def test_prompts_have_the_form_of_the_real_tasks(tasks: Mapping[str, Any]) -> None:
    gsm8k, mmlu = tasks["toy_gsm8k"], tasks["toy_mmlu"]
    prompt = gsm8k.fewshot_context(_docs(gsm8k)[0], gsm8k.get_config("num_fewshot"))
    assert prompt.startswith("Question: ")
    assert prompt.count("#### ") == 2
    assert prompt.endswith("\nAnswer:")
    prompt = mmlu.fewshot_context(_docs(mmlu)[0], mmlu.get_config("num_fewshot"))
    assert prompt.startswith("The following are questions (with answers) about a toy world.\n\nQuestion: ")
    assert prompt.count("\nAnswer:") == 3
    assert prompt.endswith("\nAnswer:")


def test_few_shot_examples_are_the_same_for_all_documents(tasks: Mapping[str, Any]) -> None:
    for name in ("toy_gsm8k", "toy_mmlu"):
        task = tasks[name]
        prompts = [task.fewshot_context(doc, 2) for doc in _docs(task)]
        heads = {prompt[: -len(task.doc_to_text(doc))] for prompt, doc in zip(prompts, _docs(task), strict=True)}
        assert len(heads) == 1


def test_toy_gsm8k_scores_the_final_number(tasks: Mapping[str, Any]) -> None:
    task = tasks["toy_gsm8k"]
    for doc in _docs(task):
        right = f" {doc['answer']}"
        assert {k: v["exact_match"] for k, v in _filtered(task, doc, right).items()} == {
            "strict-match": 1.0,
            "flexible-extract": 1.0,
        }
        number = doc["answer"].split("#### ")[1]
        wrong = f" 1 + 1 = <<1+1=2>>2\n#### {number}1"
        assert all(score["exact_match"] == 0 for score in _filtered(task, doc, wrong).values())
        unmarked = _filtered(task, doc, f" It is {number}")
        assert (unmarked["strict-match"]["exact_match"], unmarked["flexible-extract"]["exact_match"]) == (0, 1)


def test_toy_mmlu_scores_the_most_likely_option(tasks: Mapping[str, Any]) -> None:
    task = tasks["toy_mmlu"]
    for doc in _docs(task):
        for best in range(4):
            results = [(-0.5 if choice == best else -30.0, False) for choice in range(4)]
            expected = float(best == doc["answer"])
            scores = task.process_results(doc, results)
            assert (scores["acc"], scores["acc_norm"]) == (expected, expected)


@pytest.mark.usefixtures("code_session")
def test_toy_humaneval_scores_what_the_function_does(tasks: Mapping[str, Any]) -> None:
    task = tasks["toy_humaneval"]
    for doc in _docs(task):
        assert _filtered(task, doc, doc["canonical_solution"])["none"] == {"pass@1": 1.0}
        assert _filtered(task, doc, "    return None\n")["none"] == {"pass@1": 0.0}
        assert _filtered(task, doc, "    return (\n")["none"] == {"pass@1": 0.0}


def test_no_expected_answer_is_in_the_documents_or_goes_into_the_box(tasks: Mapping[str, Any]) -> None:
    for doc in _docs(tasks["toy_humaneval"]):
        assert set(doc) == {"task_id", "prompt", "entry_point", "canonical_solution", "inputs"}
        problem = toy_tasks.function_problem(doc)
        assert len(problem.base_inputs) == len(json.loads(doc["inputs"])) == 12
        assert not problem.plus_inputs
        assert problem.oracle == EXACT


def test_toy_target_scores_whether_the_source_can_give_the_sample(tasks: Mapping[str, Any]) -> None:
    task = tasks["toy_target"]
    for doc in _docs(task):
        right = clean_body(doc["letter"], 7).replace("_", "!", 3)
        assert _filtered(task, doc, right)["none"] == {"well_formed": 1.0, "agreement": 1.0}
        assert _filtered(task, doc, "_" * 64)["none"] == {"well_formed": 0.0, "agreement": 56 / 64}


def test_toy_target_asks_for_samples_not_for_the_most_likely_text(tasks: Mapping[str, Any]) -> None:
    generation = tasks["toy_target"].get_config("generation_kwargs")
    assert (generation["do_sample"], generation["temperature"]) == (True, 1.0)


def test_a_folder_without_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="install it again"):
        toy_tasks.load_splits(str(tmp_path / "utils.py"))


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(DataError, match=r"test\.jsonl:2"):
        toy_tasks.load_splits(str(tmp_path / "utils.py"))
