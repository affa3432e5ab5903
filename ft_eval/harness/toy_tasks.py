"""What the toy task files call by name: their documents, and the scores that no stock metric gives.

The task files are lm-eval's, so that the toy tasks take the very path of the real ones. Knows no model.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from ft_eval.errors import DataError
from ft_eval.harness.code_data import Problem
from ft_eval.harness.code_judge import EXACT
from ft_eval.harness.code_tasks import score_against
from ft_eval.sandbox.wire import encode
from ft_eval.toy.corpora import target


def load_splits(task_file: str) -> DatasetDict:
    """The documents that lie as SPLIT.jsonl beside a task's file, wherever the package is installed.

    Raises:
        DataError: no such file there, or a line that is no JSON object.
    """
    folder = Path(task_file).parent
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise DataError(f"no SPLIT.jsonl in {folder}: this install of ft-eval is incomplete; install it again")
    return DatasetDict({path.stem: Dataset.from_list(_rows(path)) for path in files})


def score_target(doc: Mapping[str, Any], results: Sequence[str]) -> Mapping[str, float]:
    """toy_target: whether the source can give the sample, and the share of its characters that the source allows."""
    letter, body = doc["letter"], results[0]
    return {
        "well_formed": float(target.is_well_formed(letter, body)),
        "agreement": target.agreement(letter, body),
    }


def score_function(doc: Mapping[str, Any], results: Sequence[str]) -> Mapping[str, float]:
    """toy_humaneval: whether prompt and completion answer as the reference does, each run in a box of its own.

    Raises:
        SandboxError: no code session is open, or nothing can be run safely here: never a wrong answer.
    """
    score = score_against(function_problem(doc), f"{doc['prompt']}{results[0]}")
    return {"pass@1": float(score.base)}


def function_problem(doc: Mapping[str, Any]) -> Problem:
    """A toy_humaneval document as a problem to judge: its reference, and its inputs without their answers."""
    return Problem(
        task_id=doc["task_id"],
        entry_point=doc["entry_point"],
        reference=f"{doc['prompt']}{doc['canonical_solution']}",
        base_inputs=tuple(map(encode, json.loads(doc["inputs"]))),
        oracle=EXACT,
    )


def _rows(path: Path) -> list[Any]:
    with path.open(encoding="utf-8") as lines:
        return [_row(path, number, line) for number, line in enumerate(lines, start=1)]


def _row(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{number} is no JSON ({error.msg}); install ft-eval again") from error
