"""Every row of the paper scores its gold answers 1 and wrong ones 0."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate

from ft_eval.errors import SandboxError
from ft_eval.harness import code_tasks
from ft_eval.harness.evaluate import _scores
from ft_eval.harness.repeats import Repeats
from tests.harness.conftest import NUM_DOCS

Doc = Mapping[str, Any]


@dataclass(frozen=True)
class Options:
    """A document's options and the right one's number, read off the document without the task file."""

    texts: Callable[[Doc], Sequence[str]]
    gold: Callable[[Doc], int]


LABELLED = Options(lambda d: d["choices"]["text"], lambda d: d["choices"]["label"].index(d["answerKey"]))
RACE = Options(lambda d: d["options"], lambda d: ord(d["answer"]) - ord("A"))
OPTIONS = {
    "ft_mmlu": Options(lambda d: d["choices"], lambda d: d["answer"]),
    "ft_commonsense_qa": LABELLED,
    "ft_hellaswag": Options(lambda d: d["endings"], lambda d: int(d["label"])),
    "ft_winogrande": Options(lambda d: [d["option1"], d["option2"]], lambda d: int(d["answer"]) - 1),
    "ft_openbookqa": LABELLED,
    "ft_arc": LABELLED,
    "ft_piqa": Options(lambda d: [d["sol1"], d["sol2"]], lambda d: d["label"]),
    "ft_race": RACE,
    "ft_boolq": Options(lambda _: ["no", "yes"], lambda d: d["label"]),
}
CHOICE_TASKS = [
    *(f"{name}_{form}" for name in ("ft_commonsense_qa", "ft_hellaswag", "ft_winogrande", "ft_openbookqa", "ft_piqa")
      for form in ("letter", "text")),
    *(f"ft_{name}_{form}" for name in ("arc_easy", "arc_challenge", "race_high", "race_middle")
      for form in ("letter", "text")),
    "ft_mmlu_letter_anatomy",
    "ft_mmlu_text_anatomy",
    "ft_boolq",
]  # fmt: skip
WRITTEN = {
    "ft_gsm8k": lambda doc: f" {doc['answer']}",
    "ft_nq": lambda doc: f" {doc['answer'][-1]}",
    "ft_triviaqa": lambda doc: f" the {doc['answer']['aliases'][-1]}.",
    "ft_mbpp": lambda doc: doc["code"],
    "humaneval_plus": lambda doc: doc["canonical_solution"],
}
WRONG = {
    "ft_gsm8k": " So it is 1.\n#### 1234567",
    "ft_nq": " Nobody at all",
    "ft_triviaqa": " Nobody at all",
    "ft_mbpp": "def remove_Occ(*_):\n    return None",
    "humaneval_plus": "    return None",
}


class Knowing(LM):  # type: ignore[misc] # lm-eval ships no types
    """Answers every document rightly, or every document wrongly."""

    def __init__(self, *, rightly: bool) -> None:
        super().__init__()
        self._rightly = rightly

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        return [self._score(request) for request in requests]

    def _score(self, request: Instance) -> tuple[float, bool]:
        context, continuation = request.args
        if context == "Answer:":
            return -30.0 - len(continuation) % 3, False
        name = request.task_name
        options = next(found for prefix, found in OPTIONS.items() if name.startswith(prefix))
        texts = options.texts(request.doc)
        number = (options.gold(request.doc) + (not self._rightly)) % len(texts)
        favourite = "ABCDE"[number] if "_letter" in name else texts[number].strip()
        said = context if name == "ft_winogrande_text" else continuation
        is_it = said.endswith(f" {favourite}") if said is context else said.strip() == favourite
        return (-0.1 if is_it else -900.0), is_it

    def generate_until(self, requests: list[Instance]) -> list[str]:
        return [self._write(request) for request in requests]

    def _write(self, request: Instance) -> str:
        name = request.task_name
        text = WRITTEN[name](request.doc) if self._rightly else WRONG[name]
        assert not any(stop in text for stop in request.args[1]["until"]), "the answer would be cut"
        return text

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise NotImplementedError


@pytest.fixture(scope="module")
def code_session(data_dir) -> Iterator[None]:
    """An open sandbox, where this machine has one."""
    with code_tasks.session(code_tasks.CodeTaskSettings(data_dir=data_dir, offline=True)):
        try:
            code_tasks.scoring_provenance()
        except SandboxError as error:
            pytest.skip(f"no sandbox here: {error}")
        yield


def scores(task: Any, *, rightly: bool, num_docs: int = NUM_DOCS) -> Mapping[str, float]:
    found = evaluate(Knowing(rightly=rightly), {"tasks": {task.task_name: task}}, limit=num_docs, bootstrap_iters=0)
    assert found is not None
    assert len({sample["doc_id"] for sample in found["samples"][task.task_name]}) == num_docs
    return _scores(found["results"][task.task_name], Repeats())[0]


@pytest.mark.parametrize("name", CHOICE_TASKS)
def test_the_right_choice_scores_1_and_a_wrong_one_0(build, name):
    spec, task = build(name)
    assert list(dict.fromkeys(scores(task, rightly=True).values())) == [1.0]
    assert list(dict.fromkeys(scores(task, rightly=False).values())) == [0.0]
    assert spec.output_type == "multiple_choice"
    assert spec.metric in scores(task, rightly=True)


@pytest.mark.parametrize("name", ["ft_gsm8k", "ft_nq", "ft_triviaqa"])
def test_the_right_text_scores_1_and_a_wrong_one_0(build, name):
    spec, task = build(name)
    assert set(scores(task, rightly=True).values()) == {1.0}
    assert set(scores(task, rightly=False).values()) == {0.0}
    assert spec.metric in scores(task, rightly=True)


@pytest.mark.usefixtures("code_session")
@pytest.mark.parametrize("name", ["ft_mbpp", "humaneval_plus"])
def test_the_published_program_scores_1_and_a_wrong_one_0(build, name):
    spec, task = build(name)
    assert spec.runs_code
    assert scores(task, rightly=True, num_docs=2)[spec.metric] == 1.0
    assert scores(task, rightly=False, num_docs=2)[spec.metric] == 0.0
