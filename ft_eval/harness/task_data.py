"""What is wrong with a task's documents: one that can't be judged, columns that aren't there, values that are missing.

lm-eval asks about a missing value as `None`. Knows no file of tasks and no folder of data.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from lm_eval.api.task import Task

from ft_eval.errors import TaskError
from ft_eval.harness.document_faults import look_at
from ft_eval.harness.task_files import is_unregistered

_TEMPLATES = ("doc_to_text", "doc_to_target", "doc_to_choice")
_EXPRESSION = re.compile(r"\{[{%](.*?)[%}]\}", flags=re.DOTALL)
_NAME = re.compile(r"""(?<![.\w'"])[^\W\d]\w*""")
_UNDEFINED = re.compile("is undefined$|has no attribute")
"""What a template says of a name that a document has not."""
_MAX_NAMED = 20


def check_documents(task: Task, num_docs: int) -> int:
    """See that each scored document gives a prompt, and has the answer, and where there are some the choices, it needs.

    A task that judges its answers by code of its own is left to it.

    Returns:
        How many documents offer one choice twice.

    Raises:
        TaskError: the first document that can't be judged, by its number from 0, and why.
    """
    num_twice = 0
    for number, doc in enumerate(islice(task.eval_docs, num_docs)):
        choices, fault = look_at(task, doc)
        if fault:
            raise TaskError(f"task {task.task_name}: document {number} {fault}; mend its data, or the task's file")
        num_twice += len(set(choices)) < len(choices)
    return num_twice


def data_remarks(task: Task, num_docs: int) -> Iterator[str]:
    """What is odd about the scored documents and can be asked: missing values, one choice twice, one text for all.

    Raises:
        TaskError: see `check_documents`.
    """
    if num_twice := check_documents(task, num_docs):
        yield f"task {task.task_name}: {num_twice} of {num_docs} documents offer one choice twice"
    fields, columns = _fields(task), _columns(task.eval_docs)
    for name in sorted(fields & set(columns)):
        missing = sum(value is None for value in islice(task.eval_docs[name], num_docs))
        if missing:
            yield f"task {task.task_name}: {missing} of {num_docs} documents have no {name}; they are asked with None"
    for key in ("doc_to_text", "doc_to_target"):
        text = task.get_config(key)
        if columns and isinstance(text, str) and text.isidentifier() and text not in columns:
            yield (
                f"task {task.task_name}: {key} is {text}, which is no column and no template: it is the same for all "
                f"documents; the columns are {_named(columns)}"
            )


def data_hint(error: BaseException, loaded: Mapping[str, Any] | None) -> str:
    """What the data has, for the end of an error about something that it has not; empty where that is not the matter.

    Args:
        error: what was raised while a task was built.
        loaded: the splits that were opened for it last, by name.
    """
    if not loaded:
        return ""
    empty = [name for name, rows in loaded.items() if not len(rows)]
    if isinstance(error, StopIteration | IndexError) and empty:
        return f"; its data has no documents in the split {_named(empty)}"
    if (
        is_unregistered(error)
        or error.args == (None,)
        or not (isinstance(error, KeyError) or _UNDEFINED.search(str(error)))
    ):
        return ""
    columns = dict.fromkeys(name for rows in loaded.values() for name in _columns(rows))
    return f"; its data has the splits {_named(loaded)}, with the columns {_named(columns)}"


def _fields(task: Task) -> set[str]:
    """What a task's templates may read: names in their expressions, of which the columns are some."""
    found: set[str] = set()
    for key in _TEMPLATES:
        text = task.get_config(key)
        if isinstance(text, str):
            found |= {text, *(name for part in _EXPRESSION.findall(text) for name in _NAME.findall(part))}
    return found


def _columns(docs: Any) -> Sequence[str]:
    return tuple(getattr(docs, "column_names", None) or ())


def _named(names: Iterable[object]) -> str:
    texts = [str(name) for name in names]
    return ", ".join(texts[:_MAX_NAMED]) + (" and more" if texts[_MAX_NAMED:] else "")
