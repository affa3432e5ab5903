"""What a task was asked about: the digest of its documents, and hashes of single ones. Knows no model."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lm_eval.api.task import Task


def dataset_digest(task: Task, num_docs: int) -> str:
    """sha256, hexadecimal, over the scored documents and the pool that few-shot examples come from, in order."""
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


def _canonical(doc: Any) -> bytes:
    return json.dumps(doc, sort_keys=True, ensure_ascii=True, default=str).encode() + b"\n"


def load_beside(task_file: str, name: str) -> Any:
    """The JSON file of that name in the folder of a task's file: documents that a task brings itself."""
    return json.loads(Path(task_file).with_name(name).read_text(encoding="utf-8"))
