"""Why one document can't be asked or judged: its prompt, its choices, its answer. Knows no file of tasks and no folder.

lm-eval counts an item whose right answer is not among its choices, or is none, as answered wrongly.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import regex
from lm_eval.api.task import ConfigurableTask

from ft_eval.harness.bounded_filters import MAX_SECONDS
from ft_eval.harness.templates import RAISED

MUST_MATCH = "must_match"
"""In a task's metadata: by field (`answer`, `answer.aliases`), a pattern that its text, or one of its texts, has."""


def is_judged_by_choices(task: Any) -> bool:
    """Whether a task's answers are judged by which of a document's choices is taken, and not by code of its own."""
    return (
        isinstance(task, ConfigurableTask)
        and task.OUTPUT_TYPE == "multiple_choice"
        and (_wants_number(task) or type(task).process_results is ConfigurableTask.process_results)
        and not callable(task.get_config("process_results"))
        and not getattr(task, "multiple_input", 0)
    )


def look_at(task: Any, doc: Any) -> tuple[Sequence[str], str]:
    """A document's choices, where it is judged by them, and why it can't be asked or judged; empty where it can."""
    if not isinstance(task, ConfigurableTask):
        return (), ""
    judged = is_judged_by_choices(task)
    choices, fault = _choices(task, doc) if judged else ((), "")
    return choices, fault or _unmatched(task, doc) or _unmade(task, doc, judged=judged)


def _choices(task: Any, doc: Any) -> tuple[Sequence[str], str]:
    try:
        choices = task.doc_to_choice(doc)
    except RAISED as error:
        return (), f"gives no choices ({_short(error)})"
    if not isinstance(choices, list) or not choices:
        return (), f"has no choices ({choices!r:.100})"
    for choice in choices:
        if not isinstance(choice, str):
            return (), f"has the choice {choice!r:.100}, expected a text"
    return choices, _gold_fault(task, doc, choices)


def _gold_fault(task: Any, doc: Any, choices: Sequence[str]) -> str:
    try:
        gold = task.doc_to_target(doc)
    except RAISED as error:
        return f"gives no answer ({_short(error)})"
    if _wants_number(task) and not isinstance(gold, int):
        return f"has the answer {gold!r:.100}, expected the number of a choice, 0 to {len(choices) - 1}"
    for one in gold if isinstance(gold, list) else [gold]:
        if one not in (choices if isinstance(one, str) else range(len(choices))):
            return f"has the answer {one!r:.100}, which is none of its {len(choices)} choices"
    return ""


def _wants_number(task: Any) -> bool:
    """A `ChoiceTask` says so of itself."""
    return bool(getattr(task, "GOLD_IS_A_NUMBER", False))


def _unmatched(task: Any, doc: Any) -> str:
    """Which field lacks what the task's metadata wants of it."""
    wanted = (task.get_config("metadata") or {}).get(MUST_MATCH) or {}
    for field, pattern in wanted.items():
        value = _field(doc, str(field))
        texts = value if isinstance(value, list) else [value]
        try:
            if not any(isinstance(text, str) and regex.search(pattern, text, timeout=MAX_SECONDS) for text in texts):
                return f"has the {field} {value!r:.100}, in which nothing matches {pattern:.80}"
        except TimeoutError:
            return f"has a {field} in which {pattern:.80} is looked for for more than {MAX_SECONDS:g} seconds"
    return ""


def _field(doc: Any, path: str) -> Any:
    for name in path.split("."):
        doc = doc.get(name) if isinstance(doc, Mapping) else None
    return doc


def _unmade(task: Any, doc: Any, *, judged: bool) -> str:
    """A prompt or an answer that can't be made; functions of a task file's own are left to the run, but for choices."""
    parts = [("doc_to_text", "prompt", task.doc_to_text)]
    if not judged:
        parts.append(("doc_to_target", "answer", task.doc_to_target))
    for key, what, make in parts:
        if judged or isinstance(task.get_config(key), str):
            try:
                make(doc)
            except RAISED as error:
                return f"gives no {what} ({_short(error)})"
    return ""


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())[:200]
    return "that is no list" if text.startswith("malformed node or string") else text or type(error).__name__
