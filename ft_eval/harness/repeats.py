"""Several samples of one prompt, lm-eval's `repeats`: each scored, where lm-eval scores the first of them alone.

lm-eval scores a document once per filter, so each filter that would take the first sample stands once for each of them,
under a name that says which. Filters that weigh samples against each other (a majority, the first k) are left as they
are, and with them their task. Knows no metric and no sandbox.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lm_eval.api.filter import Filter, FilterEnsemble
from lm_eval.api.registry import get_filter
from lm_eval.api.task import Task

_TAKES_FIRST = "take_first"
_ONE_BY_ONE = ("regex", "remove_whitespace", "multi_choice_regex", "lowercase", "uppercase", "map")
"""lm-eval's filters that look at each sample for itself."""
_MARK = "#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """How many samples of each prompt a task's filters now score, each for itself."""

    num_scored: int = 1

    def split(self, filter_name: str) -> tuple[str, int]:
        """A filter's own name, and which sample it takes."""
        if self.num_scored == 1:
            return filter_name, 0
        name, _, number = filter_name.rpartition(_MARK)
        return name, int(number)


def with_each_repeat(task: Task) -> tuple[Task, Repeats]:
    """A task of completions whose filters take each of its samples in turn.

    Returns:
        A copy with filters of its own; or one sample, and the task itself, where it asks for one or weighs its samples
        against each other.
    """
    filters: Sequence[FilterEnsemble] = task._filters  # noqa: SLF001 — lm-eval has no public way to a task's filters
    num_repeats = int(task.get_config("repeats") or 1)
    if num_repeats == 1 or not all(map(_takes_first, filters)):
        return task, Repeats()
    found = copy.copy(task)
    found._filters = [_of_one(one, number) for number in range(num_repeats) for one in filters]  # noqa: SLF001 — as above
    return found, Repeats(num_scored=num_repeats)


class _TakeNth(Filter):  # type: ignore[misc] # lm-eval ships no types
    """Leaves one sample of each prompt for the filters behind it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def apply(self, resps: Iterable[Sequence[Any]], docs: Sequence[Any]) -> Iterable[Sequence[Any]]:
        """Per prompt, a list of that sample alone."""
        return [samples[self._number : self._number + 1] for samples in resps]


def _of_one(filters: FilterEnsemble, number: int) -> FilterEnsemble:
    first = partial(_TakeNth, number)
    return FilterEnsemble(name=f"{filters.name}{_MARK}{number}", filters=[first, *filters.filters])


def _takes_first(filters: FilterEnsemble) -> bool:
    """Whether it looks at each sample for itself and then takes the first."""
    known = {get_filter(name): name for name in (*_ONE_BY_ONE, _TAKES_FIRST)}
    names = [known.get(getattr(one, "func", one)) for one in filters.filters]
    return None not in names and _TAKES_FIRST in names


def is_repeated_in_vain(task: Task) -> bool:
    """Whether a task asks for several samples of a prompt and decodes them greedily: one model, one text."""
    kwargs = task.get_config("generation_kwargs") or {}
    return int(task.get_config("repeats") or 1) > 1 and not (kwargs.get("do_sample") or kwargs.get("temperature"))
