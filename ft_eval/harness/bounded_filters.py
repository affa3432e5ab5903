"""The work-around for lm-eval's filters: patterns of a stranger's task file run on the clock.

Python's `re` may go back and forth over one answer for years, and nothing ends it. The patterns of tasks from
`--include-path` run by the `regex` library instead, which reads the same patterns and can be stopped; those of lm-eval
and of this package stay with `re`. Knows no file of tasks.
"""

import re
from collections.abc import Callable
from typing import Any

import regex
from lm_eval.api.filter import Filter
from lm_eval.api.task import Task
from lm_eval.filters.extraction import RegexFilter

from ft_eval.errors import TaskError

MAX_SECONDS = 5.0
"""Of one pattern on one answer."""


class BoundedPattern:
    """A pattern that gives up."""

    def __init__(self, task: str, pattern: str) -> None:
        self._task, self._pattern, self._compiled = task, pattern, regex.compile(pattern)

    def findall(self, text: str) -> list[Any]:
        """As `re.Pattern.findall`.

        Raises:
            TaskError: it takes more than `MAX_SECONDS`.
        """
        try:
            found: list[Any] = self._compiled.findall(text, timeout=MAX_SECONDS)
        except TimeoutError as error:
            raise TaskError(
                f"task {self._task}: the pattern {self._pattern[:80]!r} of a filter takes more than {MAX_SECONDS:g} "
                "seconds on one answer; repeat no group that repeats something itself"
            ) from error
        return found


def bound_filters(task: Task) -> None:
    """Let the patterns of a task's filters run within `MAX_SECONDS` each.

    Raises:
        TaskError: a pattern is none, or a filter has patterns that can't be bounded.
    """
    for ensemble in task._filters:  # noqa: SLF001 - lm-eval offers no public way to the filters
        ensemble.filters = [_bounded(task.task_name, make) for make in ensemble.filters]


def _bounded(task: str, make: Callable[[], Filter]) -> Callable[[], Filter]:
    """A filter's maker as it is, or, for a filter with a pattern, one of the same filter with a bounded one."""
    try:
        made = make()
        if isinstance(made, RegexFilter):
            made.regex = BoundedPattern(task, made.regex_pattern)
    except (re.error, regex.error) as error:
        raise TaskError(f"task {task}: the pattern of a filter can't be used: {error}") from error
    except (TypeError, ValueError, AttributeError, LookupError, AssertionError) as error:
        raise TaskError(f"task {task}: a filter can't be made of what its file gives: {error}") from error
    if getattr(made, "regexes_to_ignore", None):
        raise TaskError(f"task {task}: regexes_to_ignore of a filter can't be bounded in time; leave it out")
    return (lambda: made) if isinstance(made, RegexFilter) else make
