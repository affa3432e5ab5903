"""What a task was asked about: digests of its documents and settings, and which items hang together. Knows no model."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

from lm_eval.api.task import Task

from ft_eval.errors import DataError
from ft_eval.harness.callables import stands_for
from ft_eval.harness.data_lines import named_lines

_STOCK_CLUSTERS: Mapping[str, str] = {
    "boolq": "passage",
    "drop": "passage",
    "multirc": "paragraph",
    "squadv2": "context",
}
"""Stock tasks of lm-eval that ask several questions about one text, and the field that holds it."""
_MAX_NAME_LENGTH = 64


def dataset_digest(task: Task, num_docs: int, files: Iterable[Path] = ()) -> str:
    """sha256, hexadecimal, over the scored documents and the pool that few-shot examples come from, in order.

    Args:
        task: a built task.
        num_docs: how many documents are scored.
        files: those that documents may have come from, to look for the line at fault in.

    Raises:
        DataError: a document is no UTF-8. This is the first to read them all, and texts are decoded when they are read.
    """
    try:
        with named_lines(lambda: files):
            return _digest(task, num_docs)
    except UnicodeDecodeError as error:
        dataset = task.get_config("dataset_path")
        raise DataError(
            f"task {task.task_name}: a document of {dataset} is no UTF-8 ({error}); mend its data"
        ) from error


def _digest(task: Task, num_docs: int) -> str:
    digest = hashlib.sha256()
    for position, doc in enumerate(task.eval_docs):
        if position >= num_docs:
            break
        digest.update(_canonical(doc))
    if task.get_config("num_fewshot"):
        digest.update(b"few-shot")
        for doc in task.fewshot_docs() or ():
            digest.update(_canonical(doc))
    return digest.hexdigest()


def settings_digest(task: Task) -> str:
    """sha256, hexadecimal, over a task's settings as its file and those that it includes give them, code as source.

    Not over where the file lies, which lm-eval notes among them.
    """
    given = {one.name: getattr(task.config, one.name) for one in fields(task.config)}  # dump_config leaves addresses
    settings = {name: value for name, value in given.items() if value is not None}
    metadata = settings.get("metadata")
    if isinstance(metadata, Mapping):
        settings["metadata"] = {name: value for name, value in metadata.items() if name != "config_source"}
    return hashlib.sha256(_canonical(settings, stands_for)).hexdigest()


def num_shown_and_scored(task: Task, examples: Sequence[Mapping[str, Any]], num_docs: int) -> int:
    """Of the few-shot examples that every prompt shows, those that are scored too, by their longest text."""
    texts = {name: value for name, value in examples[0].items() if isinstance(value, str)} if examples else {}
    if not texts:
        return 0
    field = max(texts, key=lambda name: len(texts[name]))
    docs = task.eval_docs
    column = docs[field] if field in (getattr(docs, "column_names", None) or ()) else [doc.get(field) for doc in docs]
    scored = set(islice((value for value in column if isinstance(value, str)), num_docs))
    return sum(example.get(field) in scored for example in examples)


def _canonical(doc: Any, default: Callable[[Any], Any] = str) -> bytes:
    return json.dumps(doc, sort_keys=True, ensure_ascii=True, default=default).encode() + b"\n"


def cluster_field(task: Task) -> str | None:
    """The documents' field that says which of them hang together: `cluster_field` in a task file's metadata.

    None where items are independent. A task whose items are all of one cluster (a subject of MMLU) names none: one
    cluster has no spread.
    """
    named = (task.get_config("metadata") or {}).get("cluster_field")
    return str(named) if named else _STOCK_CLUSTERS.get(task.task_name)


def cluster_name(document: Mapping[str, Any], field: str) -> str | None:
    """The cluster of a document: the field's value, or its hash where that is a passage; None where there is none."""
    value = document.get(field)
    if value is None or value == "":
        return None
    text = str(value)
    return text if len(text) <= _MAX_NAME_LENGTH else hashlib.sha256(text.encode()).hexdigest()[:16]
