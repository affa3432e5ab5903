"""Every row of the paper says in its file what it is: prompts, shots, items, metric, and what it is missing."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from lm_eval.tasks._yaml_loader import load_yaml

import ft_eval.harness.task_index
from ft_eval.errors import DataError, TaskError
from ft_eval.harness.evaluate import evaluate_job
from ft_eval.harness.lm import FreeTransformerLM
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import TaskOptions, load_tasks
from ft_eval.records import Arm, Checkpoint, Job
from ft_eval.resources import tasks_dir
from tests.fakes import tiny_engine
from tests.harness.conftest import NUM_DOCS

ROWS = {
    "humaneval_plus": "pass@1",
    "ft_mbpp": "pass@1",
    "ft_gsm8k": "exact_match/strict-match",
    "ft_mmlu_letter": "acc_char",
    "ft_commonsense_qa_letter": "acc_char",
    "ft_hellaswag_text": "acc_char",
    "ft_winogrande_text": "acc_char",
    "ft_openbookqa_text": "acc_completion",
    "ft_arc_easy_text": "acc_completion",
    "ft_arc_challenge_text": "acc_completion",
    "ft_piqa_text": "acc_char",
    "ft_race_high_text": "acc_char",
    "ft_race_middle_text": "acc_char",
    "ft_boolq": "acc_completion",
    "ft_nq": "exact_match",
    "ft_triviaqa": "exact_match",
}


def rows(index: Mapping[str, Mapping[str, Any]], name: str) -> list[str]:
    """The rows behind a name: tasks, and groups with a score of their own."""
    if "group" not in index[name] or index[name].get("aggregate_metric_list"):
        return [name]
    return [row for member in index[name]["task"] for row in rows(index, member)]


def test_the_group_is_the_papers_sixteen_rows_with_its_metrics(index):
    assert rows(index, "free_transformer") == list(ROWS)
    for name, metric in ROWS.items():
        config = index[name]
        metrics = config.get("metric_list") or config["aggregate_metric_list"]
        assert metrics[0]["metric"] == metric.partition("/")[0], name


def test_the_other_group_is_each_rows_other_formulation(index):
    swap = {"_text": "_letter", "_letter": "_text"}
    others = {name.removesuffix(form) + swap[form] for name in ROWS for form in swap if name.endswith(form)}
    assert set(rows(index, "free_transformer_variants")) == others


@pytest.mark.parametrize("form", ["letter", "text"])
def test_mmlu_is_the_mean_over_57_subjects(index, form):
    config = index[f"ft_mmlu_{form}"]
    subjects = [name.removeprefix(f"ft_mmlu_{form}_") for name in config["task"]]
    assert len(set(subjects)) == 57
    assert {item["weight_by_size"] for item in config["aggregate_metric_list"]} == {False}
    for subject in subjects:
        assert index[f"ft_mmlu_{form}_{subject}"]["dataset_name"] == subject
    assert sum(index[name]["metadata"]["num_docs"] for name in config["task"]) == 14042


def test_a_groups_score_is_macro_and_a_selection_has_none(data_dir, tmp_path, monkeypatch):
    """MMLU with two of its subjects: the group as the plan records it."""
    folder = tmp_path / "ft_mmlu"
    shutil.copytree(tasks_dir() / "ft_mmlu", folder)
    text = (folder / "ft_mmlu_letter.yaml").read_text().splitlines(keepends=True)
    kept = [line for line in text if "  - ft_mmlu" not in line or "anatomy" in line or "virology" in line]
    (folder / "ft_mmlu_letter.yaml").write_text("".join(kept))
    (tmp_path / "some.yaml").write_text("group: some\ntask: [ft_mmlu_letter, ft_mmlu_text_anatomy]\n")
    monkeypatch.setattr(ft_eval.harness.task_index, "tasks_dir", lambda: tmp_path)
    loaded = load_tasks(["some"], TaskOptions(limit=1), DataSource(data_dir=data_dir, offline=True))
    (mmlu,) = loaded.groups
    assert (mmlu.name, mmlu.weight_by_size, mmlu.metric) == ("ft_mmlu_letter", False, "acc_char")
    assert mmlu.tasks == ("ft_mmlu_letter_anatomy", "ft_mmlu_letter_virology")
    assert [spec.name for spec in loaded.specs] == [*mmlu.tasks, "ft_mmlu_text_anatomy"]


def test_mmlu_by_letter_has_stock_mmlus_prompts(build):
    _, ours = build("ft_mmlu_letter_high_school_us_history")
    source = DataSource(data_dir=build.data_dir, offline=True)
    name = "mmlu_high_school_us_history"
    stock = load_tasks([name], TaskOptions(limit=NUM_DOCS, num_fewshot=5), source).tasks[name]
    for doc in list(ours.eval_docs)[:NUM_DOCS]:
        assert ours.fewshot_context(doc, 5) == stock.fewshot_context(doc, 5)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("ft_boolq", "boolq"),
        ("ft_piqa_text", "piqa"),
        ("ft_arc_easy_text", "arc_easy"),
        ("ft_hellaswag_text", "hellaswag"),
        ("ft_commonsense_qa_letter", "commonsense_qa"),
    ],
)
def test_these_have_stocks_prompts_and_choices(build, ours, theirs):
    requests = []
    for name in (ours, theirs):
        _, task = build(name)
        task.set_config("num_fewshot", 0)
        task.build_all_requests(limit=2, rank=0, world_size=1)
        requests.append([request.args for request in task.instances if request.args[0] != "Answer:"])
    assert requests[0] == requests[1]


@pytest.mark.parametrize(
    "name", ["ft_gsm8k", "ft_nq", "ft_triviaqa", "ft_mbpp", "ft_commonsense_qa_letter", "ft_mmlu_text_anatomy"]
)
def test_all_items_share_their_shots(build, name):
    """The prompt before an item's own question is the same text for all, so an engine need read it but once."""
    spec, task = build(name)
    docs = list(task.eval_docs)[:NUM_DOCS]
    prompts = [task.fewshot_context(doc, spec.num_fewshot) for doc in docs]
    heads = {
        prompt.removesuffix(own)
        for prompt, doc in zip(prompts, docs, strict=True)
        if prompt.endswith(own := task.doc_to_text(doc))
    }
    assert len(heads) == 1
    assert len(task.fewshot_docs()) == spec.num_fewshot


def test_every_task_file_says_shots_items_and_version(index):
    tasks = {name: config for name, config in index.items() if name.startswith("ft_") and "group" not in config}
    assert len(tasks) == 137
    for name, config in tasks.items():
        assert isinstance(config["num_fewshot"], int), name
        assert config["fewshot_config"]["sampler"] == "first_n", name
        assert {"version", "num_docs"} <= set(config["metadata"]), name


@pytest.mark.parametrize(
    "name", [name for name in ROWS if name not in ("ft_mmlu_letter", "ft_triviaqa") and "race" not in name]
)
def test_the_number_of_items_is_what_the_file_says(build, name):
    """TriviaQA's hub data has more rows than questions, and the mirror has each question once."""
    spec, task = build(name, limit=None)
    assert task.config.metadata["num_docs"] == spec.num_docs


def test_every_question_of_an_article_is_an_item(build):
    _, task = build("ft_race_high_text")
    texts = [task.doc_to_text(doc) for doc in task.eval_docs]
    assert [text.partition("Question: ")[2] for text in texts] == [
        "Who has it?\nAnswer:",
        "Ann has _ .\nAnswer:",
        "What is wet?\nAnswer:",
    ]


def test_the_questions_of_an_article_are_one_cluster(build, tmp_path):
    spec, task = build("ft_race_high_text")
    checkpoint = Checkpoint(name="c", arm=Arm.BASELINE, path=Path("c"), digest="d")
    job = Job(checkpoint=checkpoint, task=spec, latents=None, seed=3)
    outcome = evaluate_job(job, task, FreeTransformerLM(tiny_engine(tmp_path), seed=3), {})
    named = [sample.details["article"] for sample in outcome.samples]
    assert named[0] == named[1] != named[2]
    assert spec.cluster_field == "article"


def test_what_is_missing_is_named(data_dir):
    source = DataSource(data_dir=data_dir, offline=True)
    with pytest.raises(DataError) as caught:
        load_tasks(["free_transformer"], TaskOptions(limit=1), source)
    assert "dataset ehovy/race is not at hand: --offline and no folder ehovy/race" in str(caught.value)
    assert "or name all tasks but ft_race_high_text, ft_race_middle_text, which read it" in str(caught.value)


def test_all_that_is_missing_is_named_before_anything_is_opened(tmp_path):
    source = DataSource(data_dir=tmp_path, offline=True)
    with pytest.raises(DataError, match="datasets ehovy/race, aps/super_glue are not at hand"):
        load_tasks(["free_transformer_reading"], TaskOptions(limit=1), source)


def test_more_shots_than_are_listed_are_refused(data_dir):
    source = DataSource(data_dir=data_dir, offline=True)
    with pytest.raises(TaskError, match="task ft_nq lists 5 few-shot examples, and 6 were asked for"):
        load_tasks(["ft_nq"], TaskOptions(limit=1, num_fewshot=6), source)


def test_every_folder_explains_itself():
    for folder in tasks_dir().iterdir():
        if folder.name.startswith(("ft_", "free_")):
            text = (folder / "README.md").read_text(encoding="utf-8")
            names = [str(load_yaml(path, resolve_func=False).get("task")) for path in folder.glob("ft_*.yaml")]
            assert all(name in text for name in names if name.startswith("ft_")), folder


@pytest.mark.parametrize("name", ["toy_gsm8k", "toy_mmlu", "toy_target"])
def test_a_toy_tasks_folder_says_source_licence_items_and_score(name):
    text = (tasks_dir() / name / "README.md").read_text(encoding="utf-8")
    num_items = len((tasks_dir() / name / "test.jsonl").read_text().splitlines())
    assert f"# {name}\n" in text
    assert f"{num_items} items" in text
    assert all(word in text for word in ("| Source |", "| Licence |", "| Scored |", "| Shots |", "stock"))
