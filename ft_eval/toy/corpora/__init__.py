"""The four generated sources of text, one module each. They know no model, no task file and no tensor."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ft_eval.toy.corpora import choices, functions, problems, target
from ft_eval.toy.corpora.draw import Part

SOURCES: Mapping[str, Callable[[int, int, int], tuple[Part, ...]]] = MappingProxyType(
    {
        "target": target.training_parts,
        "problems": problems.training_parts,
        "choices": choices.training_parts,
        "functions": functions.training_parts,
    }
)
"""By name, the parts of a training document: a function of (seed, index, least number of characters)."""
