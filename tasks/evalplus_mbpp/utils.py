"""What the task file beside this one calls by name; all of it lives in ft_eval.harness."""

from collections.abc import Mapping, Sequence
from typing import Any

from ft_eval.harness import code_tasks, evalplus_prompts


def doc_to_text(doc: Mapping[str, Any]) -> str:
    """One document's prompt."""
    return evalplus_prompts.mbpp_prompt(doc)


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> Mapping[str, float]:
    """One document's pass@1 and pass@1_base."""
    return code_tasks.process_evalplus_mbpp(doc, results)
