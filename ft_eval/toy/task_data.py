"""The toy tasks' documents, as JSON lines beside their task files. Knows no harness and no model.

    toy_gsm8k      test.jsonl  question, answer                         train.jsonl  the few-shot examples
    toy_mmlu       test.jsonl  question, choices, answer (an index)     dev.jsonl    the few-shot examples
    toy_humaneval  test.jsonl  task_id, prompt, entry_point, canonical_solution, inputs (JSON: a list of argument lists)
    toy_target     test.jsonl  letter, sample

A test item lies on the held-out side of its source's split, a few-shot example on the training side. The prompts of
toy_target are the 26 letters, which training sees too: it asks for samples from a source, so there is nothing to hold
out but the samples.
"""

import json
import string
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from itertools import count, islice
from pathlib import Path
from typing import TypeVar

from ft_eval.toy.corpora.choices import ChoiceQuestion, draw_question
from ft_eval.toy.corpora.functions import Function, draw_function, draw_inputs
from ft_eval.toy.corpora.problems import Problem, draw_problem

T = TypeVar("T")
Row = Mapping[str, object]

TEST_SEED = 1_000_003
"""Another than any recipe's, though the split alone already keeps test items out of training."""
NUM_FEWSHOT = 3
NUM_PROBLEMS = 150
NUM_QUESTIONS = 200
NUM_FUNCTIONS = 100
NUM_SAMPLES_PER_LETTER = 5


def write_task_data(folder: Path) -> tuple[Path, ...]:
    """Write every toy task's JSON lines into `folder`/TASK/, and return the files' paths."""
    paths = []
    for name, rows in task_rows().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
        paths.append(path)
    return tuple(paths)


def task_rows() -> Mapping[str, tuple[Row, ...]]:
    """The rows of every file, by its path relative to the tasks' folder."""
    return {
        "toy_gsm8k/test.jsonl": tuple(map(_problem_row, problems_under_test())),
        "toy_gsm8k/train.jsonl": tuple(map(_problem_row, _examples(draw_problem, _has_one_step))),
        "toy_mmlu/test.jsonl": tuple(map(_question_row, questions_under_test())),
        "toy_mmlu/dev.jsonl": tuple(map(_question_row, _examples(draw_question))),
        "toy_humaneval/test.jsonl": tuple(map(_function_row, count(), functions_under_test())),
        "toy_target/test.jsonl": tuple(
            {"letter": letter, "sample": sample}
            for sample in range(NUM_SAMPLES_PER_LETTER)
            for letter in string.ascii_uppercase
        ),
    }


def problems_under_test() -> tuple[Problem, ...]:
    """The 150 problems of toy_gsm8k, no question twice."""
    return _first_distinct(_held_out(draw_problem), lambda problem: problem.question, NUM_PROBLEMS)


def questions_under_test() -> tuple[ChoiceQuestion, ...]:
    """The 200 questions of toy_mmlu, none twice with the same options."""
    return _first_distinct(_held_out(draw_question), _asked, NUM_QUESTIONS)


def functions_under_test() -> tuple[Function, ...]:
    """The 100 functions of toy_humaneval, no docstring twice."""
    return _first_distinct(_held_out(draw_function), lambda function: function.sentence, NUM_FUNCTIONS)


def _held_out(draw: Callable[..., T]) -> Iterator[T]:
    return (draw(TEST_SEED, index, held_out=True) for index in count())


def _examples(draw: Callable[..., T], is_short: Callable[[T], bool] = lambda _: True) -> tuple[T, ...]:
    """The first short ones of the training side: a prompt should be no longer than the rows of training."""
    items = (draw(TEST_SEED, index, held_out=False) for index in count())
    return tuple(islice(filter(is_short, items), NUM_FEWSHOT))


def _first_distinct(items: Iterable[T], key: Callable[[T], Hashable], num_items: int) -> tuple[T, ...]:
    """The first items of an endless supply that differ in their key."""
    found: dict[Hashable, T] = {}
    for item in items:
        found.setdefault(key(item), item)
        if len(found) == num_items:
            break
    return tuple(found.values())


def _asked(question: ChoiceQuestion) -> Hashable:
    return question.question, frozenset(question.choices)


def _has_one_step(problem: Problem) -> bool:
    return problem.answer.count("\n") == 1


def _problem_row(problem: Problem) -> Row:
    return {"question": problem.question, "answer": problem.answer}


def _question_row(question: ChoiceQuestion) -> Row:
    return {"question": question.question, "choices": list(question.choices), "answer": question.answer}


def _function_row(index: int, function: Function) -> Row:
    inputs = [[value] for value in draw_inputs(function, TEST_SEED, index)]
    return {
        "task_id": f"ToyEval/{index}",
        "prompt": function.prompt,
        "entry_point": function.name,
        "canonical_solution": function.body + "\n",
        "inputs": json.dumps(inputs),
    }
