"""lm-eval's groups with a score of their own, as ours: of which metric, and how it is made of their tasks'."""

from collections.abc import Iterator, Mapping, Sequence

from lm_eval.api.group import Group
from lm_eval.api.task import Task

from ft_eval.harness.names import metric_name
from ft_eval.records import TaskGroup, TaskSpec


def group_of(group: Group, specs: Sequence[TaskSpec], tasks: Mapping[str, Task]) -> TaskGroup:
    """A group as a set of leaves. Its metric and its weights are those of its first aggregation.

    Where no leaf has that metric, the metric is the first leaf's own.
    """
    aggregation = group.aggregate_metric_list[0]
    leaves = tuple(task.task_name for task in group.get_all_tasks())
    primary = {spec.name: spec.metric for spec in specs}
    had = [name for leaf in leaves for name in _metrics(tasks[leaf], aggregation.metric, aggregation.filter_list)]
    return TaskGroup(
        name=group.name,
        tasks=leaves,
        weight_by_size=bool(aggregation.weight_by_size),
        metric=next(iter(had), primary[leaves[0]] if leaves else ""),
    )


def group_remarks(groups: Sequence[TaskGroup], tasks: Mapping[str, Task]) -> Iterator[str]:
    """Which groups have tasks that lack the group's metric."""
    for group in groups:
        lacking = [name for name in group.tasks if group.metric not in _metrics(tasks[name])]
        if lacking:
            named = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if lacking[3:] else "")
            yield f"group {group.name} is scored by {group.metric}, which {named} of its {len(group.tasks)} tasks lack"


def _metrics(task: Task, metric: str | None = None, filters: Sequence[str] | None = None) -> list[str]:
    """A task's metrics by name, in order; of one metric or of some filters alone, where these are given."""
    return [
        metric_name(one, name)
        for one in task.aggregation()
        for name in (str(ensemble.name) for ensemble in task._filters)  # noqa: SLF001 — lm-eval has no public way
        if metric in (None, one) and (filters is None or name in filters)
    ]
