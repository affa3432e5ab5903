"""The committed documents are what the code makes, and none of them is in training."""

import json
from pathlib import Path

from ft_eval.resources import tasks_dir
from ft_eval.toy.corpora import SOURCES
from ft_eval.toy.corpora.world import all_facts
from ft_eval.toy.recipe import TEXT_ROW_LENGTH, Recipe
from ft_eval.toy.task_data import task_rows, write_task_data


def _committed(name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (tasks_dir() / name).read_text().splitlines()]


def test_the_committed_files_are_what_the_code_writes(tmp_path: Path) -> None:
    for path in write_task_data(tmp_path):
        committed = tasks_dir() / path.relative_to(tmp_path)
        assert committed.read_bytes() == path.read_bytes(), f"write_task_data({tasks_dir()}) makes it anew"


def test_no_other_documents_are_committed() -> None:
    committed = {str(path.relative_to(tasks_dir())) for path in tasks_dir().glob("toy_*/*.jsonl")}
    assert committed == set(task_rows())


def test_a_task_has_enough_documents_and_none_twice() -> None:
    for name in ("toy_gsm8k", "toy_mmlu", "toy_humaneval", "toy_target"):
        rows = _committed(f"{name}/test.jsonl")
        assert 100 <= len(rows) <= 200
        assert len({json.dumps(row) for row in rows}) == len(rows)


def test_no_test_item_is_in_a_thousand_rows_of_training_or_in_the_examples() -> None:
    problems = [str(row["question"]) for row in _committed("toy_gsm8k/test.jsonl")]
    questions = [str(row["question"]) for row in _committed("toy_mmlu/test.jsonl")]
    sentences = [str(row["prompt"]).split('"""')[1] for row in _committed("toy_humaneval/test.jsonl")]
    for corpus, items in (("problems", problems), ("choices", questions), ("functions", sentences)):
        text = "\n".join(_training_text(corpus, index) for index in range(1000))
        assert [item for item in items if item in text] == []
    assert not {str(row["question"]) for row in _committed("toy_gsm8k/train.jsonl")} & set(problems)
    assert not {str(row["question"]) for row in _committed("toy_mmlu/dev.jsonl")} & set(questions)


def test_every_fact_asked_for_is_stated_in_training() -> None:
    text = "\n".join(_training_text("choices", index) for index in range(3000))
    statements = {fact.question: fact.statement for fact in all_facts()}
    asked = {str(row["question"]) for row in _committed("toy_mmlu/test.jsonl")}
    assert len(asked) > 40
    assert [question for question in asked if statements[question] not in text] == []


def test_prompts_are_no_longer_than_the_rows_of_training_and_answers_fit_the_context() -> None:
    examples = [f"Question: {row['question']}\nAnswer: {row['answer']}" for row in _committed("toy_gsm8k/train.jsonl")]
    head = len("<") + sum(len(example) + 2 for example in examples[:2])
    rows = _committed("toy_gsm8k/test.jsonl")
    prompts = [head + len(f"Question: {row['question']}\nAnswer:") for row in rows]
    answers = [len(f" {row['answer']}\n\n") for row in rows]
    assert max(prompts) < TEXT_ROW_LENGTH
    assert max(answers) <= 72  # the task's max_gen_toks
    assert max(map(sum, zip(prompts, answers, strict=True))) <= Recipe().backbone.max_position_embeddings


def _training_text(corpus: str, index: int) -> str:
    return "".join(part.text for part in SOURCES[corpus](Recipe().seed, index, TEXT_ROW_LENGTH))
