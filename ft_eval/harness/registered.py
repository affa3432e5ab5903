"""Metrics and aggregations that a built task names and nobody registered.

A task file may name what its own code registers with lm-eval, so names are looked up when that has run. lm-eval itself
goes on without one, and falls over it when all answers are there. Knows no dataset.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lm_eval.api.registry import AGGREGATION_REGISTRY, METRIC_REGISTRY
from lm_eval.api.task import ConfigurableTask

from ft_eval.errors import TaskError, did_you_mean
from ft_eval.harness.task_files import naming_fault


def check_registered(task: Any, path: Path | None) -> None:
    """See that a task's metrics and aggregations are to be had.

    Args:
        task: any task of lm-eval's that was built.
        path: its file; None where it has none of its own.

    Raises:
        TaskError: the first that is not, with FILE:LINE where there is a file.
    """
    for key, name, reason in _unregistered(task):
        where = f"task {task.task_name}: {reason}" if path is None else naming_fault(path, key, name, reason)
        raise TaskError(str(where))


def _unregistered(task: Any) -> Iterator[tuple[str, str, str]]:
    """Under which key, the name, and what is wrong with it."""
    config = getattr(task, "config", None)
    for listed in getattr(config, "metric_list", None) or ():
        name = listed.get("aggregation") if isinstance(listed, Mapping) else None
        if isinstance(name, str) and name not in AGGREGATION_REGISTRY:
            expected = ", ".join(sorted(AGGREGATION_REGISTRY))
            near = did_you_mean(name[:80], AGGREGATION_REGISTRY)
            yield "aggregation", name, f"an aggregation of metric_list is {name[:80]}, expected one of {expected}{near}"
    if _judges_by_metrics(task):
        for name, function in task._metric_fn_list.items():  # noqa: SLF001 — lm-eval has no public way to them
            if function is None:
                near = did_you_mean(str(name)[:80], METRIC_REGISTRY)
                yield (
                    "metric",
                    str(name),
                    f"the metric {str(name)[:80]} is none that is registered or can be loaded{near}",
                )


def _judges_by_metrics(task: Any) -> bool:
    """Whether lm-eval's own judging is used, and not a function or a class of the task's."""
    return (
        isinstance(task, ConfigurableTask)
        and type(task).process_results is ConfigurableTask.process_results
        and task.config.process_results is None
    )
