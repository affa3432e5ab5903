"""Short answers are compared as SQuAD compares them, and HellaSwag's texts are cleaned as stock lm-eval cleans them."""

from typing import Any

import pytest
from lm_eval.tasks.hellaswag.utils import preprocess

from ft_eval.harness.benchmarks import hellaswag_context, hellaswag_endings, hellaswag_question, is_answer

STORY: dict[str, Any] = {
    "activity_label": "Health",
    "ctx_a": "[header] How to rest [title] Lie down. [step] Do it  now.",
    "ctx_b": "then you",
    "endings": ["[step] sleep.", "wake up [substeps] at once.", " run", "eat"],
}


@pytest.mark.parametrize(
    ("completion", "answers", "right"),
    [
        ("Paris", ["Paris"], True),
        (" the  PARIS. ", ["Paris", "Lutetia"], True),
        ("Washington, D.C.", ["Washington DC"], True),
        ("Paris, France", ["Paris"], False),
        ("", ["The", "!!!"], False),
        ("the", [""], False),
        ("!!!", ["!!!"], True),
        ("The The", ["The The"], True),
        ("A", ["B"], False),
        ("Pariss", ["Paris"], False),
    ],
)
def test_an_answer_is_right_when_it_is_one_of_the_answers(completion, answers, right):
    assert is_answer(completion, answers) is right


def test_hellaswag_is_shown_as_stock_shows_it():
    stock = preprocess(f"{STORY['activity_label']}: {STORY['ctx_a']} {STORY['ctx_b'].capitalize()}")
    assert hellaswag_context(STORY) == stock
    assert hellaswag_endings(STORY) == [preprocess(ending) for ending in STORY["endings"]]


def test_hellaswag_by_letter_shows_every_ending_once():
    assert hellaswag_question(STORY).splitlines()[-5:] == [
        "A. sleep.",
        "B. wake up at once.",
        "C. run",
        "D. eat",
        "Answer:",
    ]
