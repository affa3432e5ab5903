"""What the task file beside this one calls by name; all of it lives in ft_eval.harness.mbpp."""

from collections.abc import Mapping, Sequence
from typing import Any

from ft_eval.harness import mbpp


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> Mapping[str, float]:
    """One document's pass@1."""
    return mbpp.process_mbpp(doc, results)
