"""What the benchmarks' task files call by name: text clean-up, and answers compared as short texts. Knows no model."""

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def hellaswag_context(doc: Mapping[str, Any]) -> str:
    """The beginning of a HellaSwag story as stock lm-eval shows it: the activity, then the context."""
    return _without_tags(f"{doc['activity_label']}: {doc['ctx_a']} {doc['ctx_b'].capitalize()}")


def hellaswag_endings(doc: Mapping[str, Any]) -> list[str]:
    """Its four endings, cleaned as stock lm-eval cleans them."""
    return [_without_tags(ending) for ending in doc["endings"]]


def hellaswag_question(doc: Mapping[str, Any]) -> str:
    """The story and its endings under letters, which stock lm-eval has no prompt for."""
    options = zip("ABCD", hellaswag_endings(doc), strict=True)
    lines = "".join(f"{letter}. {ending.strip()}\n" for letter, ending in options)
    return f"{hellaswag_context(doc)}\nHow does it go on?\n{lines}Answer:"


def race_letters(doc: Mapping[str, Any]) -> list[str]:
    """The letters of a RACE question's options.

    Raises:
        ValueError: the options are no list of one to four texts.
    """
    options = doc["options"]
    if not isinstance(options, list) or not 0 < len(options) <= 4 or not all(isinstance(one, str) for one in options):
        raise ValueError(f"options is {options!r:.100}, expected one to four texts")
    return list("ABCD"[: len(options)])


def score_nq(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """NaturalQuestions: whether the completion is one of the answers."""
    return {"exact_match": float(is_answer(results[0], doc["answer"]))}


def score_triviaqa(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """TriviaQA: whether the completion is one of the answer's names."""
    return {"exact_match": float(is_answer(results[0], doc["answer"]["aliases"]))}


def is_answer(completion: str, answers: Sequence[str]) -> bool:
    """Exact match after SQuAD's normalisation: no case, punctuation, articles or extra blanks.

    An answer that is nothing but these, such as "The The" or "!!!", is compared without case alone.

    >>> is_answer(" the Beatles.", ["Beatles", "The Fab Four"]), is_answer("", ["The"])
    (True, False)
    """
    found = _normal(completion)
    return bool(found) and found in {_normal(answer) for answer in answers}


def _normal(text: str) -> str:
    bare = re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(_PUNCTUATION))
    return " ".join(bare.split()) or " ".join(text.lower().split())


def _without_tags(text: str) -> str:
    """WikiHow's tags out, as lm-eval's `hellaswag/utils.py` takes them out, blanks included."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")
