"""A document that can't be asked or judged is refused by its number, before anything is asked or written."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ft_eval.errors import TaskError
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import LoadedTasks, TaskOptions, load_tasks

Row = Mapping[str, Any]
SETS: Mapping[str, tuple[str, str, Sequence[str], Row]] = {
    "ft_race_high": (
        "ehovy/race",
        "high",
        ["test"],
        {"article": "Ann has a dog.", "question": "Who?", "answer": "A", "options": ["Ann", "Bob", "x", "y"]},
    ),
    "ft_mmlu_letter_anatomy": (
        "cais/mmlu",
        "anatomy",
        ["test", "dev"],
        {"question": "Which?", "subject": "anatomy", "choices": ["a", "b", "c", "d"], "answer": 0},
    ),
    "ft_arc_easy": (
        "allenai/ai2_arc",
        "ARC-Easy",
        ["test"],
        {"question": "Which?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"},
    ),
    "ft_hellaswag": (
        "Rowan/hellaswag",
        "default",
        ["validation"],
        {"activity_label": "Tea", "ctx_a": "A", "ctx_b": "b", "endings": ["p", "q", "r", "s"], "label": "0"},
    ),
    "ft_winogrande": (
        "allenai/winogrande",
        "winogrande_xl",
        ["validation"],
        {"sentence": "Ann met Bob so _ left.", "option1": "Ann", "option2": "Bob", "answer": "1"},
    ),
    "ft_piqa": ("baber/piqa", "plain_text", ["validation"], {"goal": "g", "sol1": "a", "sol2": "b", "label": 0}),
    "ft_nq": ("google-research-datasets/nq_open", "nq_open", ["validation"], {"question": "q", "answer": ["a"]}),
    "ft_gsm8k": ("openai/gsm8k", "main", ["test"], {"question": "q", "answer": "It is 1.\n#### 1"}),
    "ft_triviaqa": (
        "mandarjoshi/trivia_qa",
        "rc.nocontext",
        ["validation"],
        {"question": "q", "answer": {"aliases": ["a"]}},
    ),
}
CHOICES = "ft_race_high_text", "ft_race_high_letter"
BAD = [
    *((name, {"answer": "AB"}, "gives no answer .*'AB' is not in list") for name in CHOICES),
    *((name, {"answer": ""}, "gives no answer .*'' is not in list") for name in CHOICES),
    *((name, {"answer": None}, "gives no answer") for name in CHOICES),
    *(
        (name, {"answer": "D", "options": ["a", "b", "c"]}, "has the answer 3, which is none of its 3")
        for name in CHOICES
    ),
    ("ft_race_high_text", {"options": None}, r"has no choices \(None\)"),
    ("ft_race_high_letter", {"options": None}, "options is None, expected one to four texts"),
    *((name, {"options": []}, "(has no choices|options is) .*\\[\\]") for name in CHOICES),
    ("ft_mmlu_letter_anatomy", {"answer": 7}, "has the answer 7, which is none of its 4 choices"),
    ("ft_mmlu_letter_anatomy", {"choices": ["a"]}, "gives no prompt"),
    *((f"ft_arc_easy_{form}", {"answerKey": ""}, "gives no answer .*'' is not in list") for form in ("text", "letter")),
    *((f"ft_hellaswag_{form}", {"label": ""}, "has the answer '', expected the number") for form in ("text", "letter")),
    ("ft_hellaswag_letter", {"endings": ["p"]}, "gives no prompt"),
    *((f"ft_winogrande_{form}", {"answer": ""}, "has the answer '-1', expected") for form in ("text", "letter")),
    *((f"ft_winogrande_{form}", {"sentence": "none"}, "has the sentence 'none', in") for form in ("text", "letter")),
    ("ft_winogrande_text", {"sentence": "It is _"}, "has the sentence 'It is _', in"),
    ("ft_piqa_text", {"label": -1}, "has the answer -1, which is none of its 2 choices"),
    ("ft_nq", {"answer": []}, r"has the answer \[\], in which nothing matches \\S"),
    ("ft_nq", {"answer": [" "]}, "has the answer"),
    ("ft_gsm8k", {"answer": "It is 1."}, "has the answer 'It is 1.', in which nothing matches ####"),
    ("ft_gsm8k", {"answer": None}, "has the answer None"),
    ("ft_triviaqa", {"answer": {"aliases": []}}, r"has the answer.aliases \[\]"),
]


def load(root: Path, task: str, changes: Mapping[int, Row], limit: int = 5) -> LoadedTasks:
    """The task over a mirror of six documents, some of them changed."""
    name, config, splits, row = next(found for key, found in SETS.items() if task.startswith(key))
    folder = root / name
    folder.mkdir(parents=True)
    rows = [{**row, **changes.get(number, {})} for number in range(6)]
    card = f"---\nconfigs:\n- config_name: {config}\n  data_files:\n"
    for split in splits:
        lines = rows if split == splits[0] else [row] * 6
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
        card += f"  - split: {split}\n    path: {split}.jsonl\n"
    (folder / "README.md").write_text(f"{card}---\n")
    return load_tasks([task], TaskOptions(limit=limit), DataSource(data_dir=root, offline=True))


@pytest.mark.parametrize(("task", "change", "said"), BAD)
def test_a_document_that_cannot_be_judged_is_refused_by_its_number(tmp_path, task, change, said):
    with pytest.raises(TaskError, match=f"task {task}: document 2 .*{said}") as caught:
        load(tmp_path, task, {2: change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer": "AB"}, "gives no answer"),
        ({"options": []}, "has no choices"),
        ({"options": ["a", "", "c", "d"]}, "has an empty choice"),
        ({"options": [1, 2, 3, 4]}, "has the choice 1"),
    ],
)
def test_so_is_the_first_which_lm_eval_tries_while_it_builds_the_task(tmp_path, change, said):
    with pytest.raises(TaskError, match=f"task ft_race_high_text: document 0 .*{said}"):
        load(tmp_path, "ft_race_high_text", {0: change})


@pytest.mark.parametrize("task", CHOICES)
def test_a_column_that_no_document_has_is_named_with_those_there_are(tmp_path, task, monkeypatch):
    row = {name: value for name, value in SETS["ft_race_high"][3].items() if name != "answer"}
    monkeypatch.setitem(SETS, "ft_race_high", (*SETS["ft_race_high"][:3], row))
    with pytest.raises(TaskError, match=r"yaml:6: 'answer' is undefined; its data .* the columns article, question"):
        load(tmp_path, task, {})


def test_a_document_that_is_not_scored_is_not_looked_at(tmp_path):
    assert load(tmp_path, "ft_race_high_text", {5: {"answer": "E"}}).specs[0].num_docs == 5


@pytest.mark.parametrize("task", [*CHOICES, "ft_arc_easy_letter", "ft_winogrande_text", "ft_gsm8k", "ft_nq"])
def test_sound_documents_pass_without_a_remark(tmp_path, task):
    assert load(tmp_path, task, {}).remarks == ()
