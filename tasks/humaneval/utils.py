"""What the task file beside this one calls by name; all of it lives in ft_eval.harness.code_tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

from ft_eval.harness import code_tasks


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> Mapping[str, float]:
    """One document's pass@1."""
    return code_tasks.process_humaneval(doc, results)
