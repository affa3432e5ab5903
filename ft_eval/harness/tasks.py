"""Tasks by name: lm-eval's own, ours beside and over them. From names to built tasks and what a plan needs to know.

A stock name means the stock prompts, few-shots, filters and metrics. Ours (tasks/) override two stock names, and say
why in their README. Knows datasets only through `mirror`; knows no model.
"""

import fnmatch
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

from lm_eval.api.group import Group
from lm_eval.api.samplers import FirstNSampler
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import Entry

from ft_eval.errors import TaskError
from ft_eval.harness.bounded_filters import bound_filters
from ft_eval.harness.building import build, refuse_two_kinds, short_name
from ft_eval.harness.code_documents import code_task
from ft_eval.harness.documents import cluster_field, dataset_digest, num_shown_and_scored, settings_digest
from ft_eval.harness.foreign_tasks import foreign_index, touched
from ft_eval.harness.generation_kwargs import check_generation_kwargs
from ft_eval.harness.groups import group_of, group_remarks
from ft_eval.harness.judges import note_judge
from ft_eval.harness.mirror import DataSource, OpenedData, redirected_datasets
from ft_eval.harness.names import metric_name
from ft_eval.harness.registered import check_registered
from ft_eval.harness.repeats import is_repeated_in_vain
from ft_eval.harness.task_data import data_remarks
from ft_eval.harness.task_index import all_tasks, leaves, our_tasks, with_tasks
from ft_eval.harness.templates import bound_templates
from ft_eval.records import TaskGroup, TaskSpec

FEWSHOT_SEED = 1234
"""lm-eval's: the same few-shot examples as `lm_eval run` draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What a user may set for all tasks of a run."""

    limit: float | None = None
    """Documents at most, or a share of them below 1; None for all."""
    num_fewshot: int | None = None
    """None keeps each task's own; a task that fixes 0 keeps 0."""
    include_paths: tuple[Path, ...] = ()
    """Folders of task files of the user's own."""
    trust_code: bool = False
    """Whether those files may name code to be run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTasks:
    """Tasks ready to be evaluated."""

    specs: tuple[TaskSpec, ...]
    groups: tuple[TaskGroup, ...]
    """Those with a score of their own; a group that only selects tasks is not among them."""
    tasks: Mapping[str, Task]
    """lm-eval's task objects, by name."""
    remarks: tuple[str, ...] = ()
    """What is odd about them and can be evaluated, a line each."""


def load_tasks(names: Sequence[str], options: TaskOptions, source: DataSource) -> LoadedTasks:
    """Build the tasks of these names (tasks, groups or tags), each leaf once, in the order asked for.

    Raises:
        TaskError: no name, an unknown one (with the nearest), a task that can't be built, a file that may not be used.
        DataError: a dataset that is not at hand.
        UsageError: an include path that is no folder.
    """
    if not names:
        raise TaskError("no task was named; pass --tasks NAME[,NAME…], such as gsm8k or humaneval_plus")
    bound_templates()
    manager = _manager(names, options)
    names = _expanded(names, manager.all_tasks)
    readers = _readers(manager, names)
    source.check(readers, readers)
    tasks: dict[str, Task] = {}
    groups: dict[str, Group] = {}
    foreign: set[str] = set()
    index = manager.task_index
    with redirected_datasets(source) as opened:
        for name in dict.fromkeys(names):
            loaded = build(manager, name, opened)
            refuse_two_kinds(name, tasks, loaded["tasks"])
            tasks.update(loaded["tasks"])
            groups.update(loaded.get("groups", {}))
            foreign |= touched(index, name, loaded["tasks"])
    for name, task in tasks.items():
        note_judge(task)
        check_registered(task, _file(index, name))
        _configure(task, options)
        if name in foreign:
            bound_filters(task)
    settings = {name: settings_digest(tasks[name]) for name in foreign}
    specs = tuple(_spec(task, options, settings.get(name, ""), opened) for name, task in tasks.items())
    scored = tuple(group_of(group, specs, tasks) for group in groups.values() if group.has_aggregation)
    remarks = (*_remarks(specs, tasks, options), *group_remarks(scored, tasks))
    return LoadedTasks(specs=specs, groups=scored, tasks=tasks, remarks=remarks)


def task_names(*, ours_only: bool) -> Sequence[str]:
    """The names that can be asked for: tasks, groups and tags, ours, or ours and lm-eval's."""
    manager = our_tasks() if ours_only else all_tasks()
    names: Sequence[str] = manager.all_tasks
    return names


def reset_fewshot(task: Task) -> None:
    """Start the task's few-shot draws anew, so that every checkpoint sees the same prompts.

    The sampler's generator moves on with each document: a second checkpoint would get other examples.
    """
    task.set_fewshot_seed(seed=FEWSHOT_SEED)


def _manager(names: Sequence[str], options: TaskOptions) -> TaskManager:
    """Ours alone when that is enough."""
    ours = our_tasks()
    foreign = foreign_index(options.include_paths, ours.task_index, trust_code=options.trust_code)
    if not foreign and set(names) <= set(ours.all_tasks):
        return ours
    return with_tasks(all_tasks(), foreign)


def _expanded(names: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    """The names, with a pattern such as `mmlu_*` in place of it all that it matches, as in lm-eval."""
    found: list[str] = []
    for name in names:
        is_pattern = name not in known and any(letter in name for letter in "*?[")
        matching = fnmatch.filter(known, name) if is_pattern else [name]
        if not matching:
            raise TaskError(
                f"--tasks {short_name(name)}: no task has such a name; `ft-eval tasks --all` lists all names"
            )
        found += matching
    return tuple(dict.fromkeys(found))


def _file(index: Mapping[str, Entry], name: str) -> Path | None:
    path = index[name].yaml_path if name in index else None
    return None if path is None else Path(path)


def _readers(manager: TaskManager, names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The datasets that tasks of ours read, known without building them, with those tasks."""
    index, found = manager.task_index, defaultdict(list)
    for leaf in (leaf for name in names if name in index for leaf in leaves(index, index[name])):
        if dataset := (leaf.cfg or {}).get("dataset_path"):
            found[str(dataset)].append(str(leaf.name))
    return found


def _configure(task: Task, options: TaskOptions) -> None:
    """Settle the number of few-shot examples as lm-eval's `simple_evaluate` does."""
    own = task.get_config("num_fewshot")
    if options.num_fewshot is not None and own != 0:
        task.set_config(key="num_fewshot", value=options.num_fewshot)
    elif own is None:
        task.set_config(key="num_fewshot", value=0)
    sampler, shots = getattr(task, "sampler", None), task.get_config("num_fewshot")
    reset_fewshot(task)
    try:
        check_generation_kwargs(task.get_config("generation_kwargs") or {})
    except TaskError as error:
        raise TaskError(f"task {task.task_name}: {error}") from None
    if shots and sampler is not None:
        _check_pool(task, sampler, shots)


def _check_pool(task: Task, sampler: Any, shots: int) -> None:
    """Raise TaskError when a task has fewer few-shot examples than it is to show."""
    pool = len(sampler.df)
    verb = "lists" if isinstance(sampler, FirstNSampler) else "has"
    if shots > pool:
        raise TaskError(
            f"task {task.task_name} {verb} {pool} few-shot examples, and {shots} were asked for; pass a smaller "
            "--num-fewshot"
        )


def _draws_from_what_is_scored(task: Task) -> bool:
    """Then lm-eval leaves a document out of its own examples."""
    split = task.get_config("fewshot_split")
    return split is not None and split == task.get_config("test_split")


def _remarks(specs: Sequence[TaskSpec], tasks: Mapping[str, Task], options: TaskOptions) -> Iterator[str]:
    for spec in specs:
        task = tasks[spec.name]
        num_docs, sampler = len(task.eval_docs), getattr(task, "sampler", None)
        yield from data_remarks(task, spec.num_docs)
        if task.higher_is_better().get(next(iter(task.aggregation()))) is None:
            yield f"task {spec.name} doesn't say whether more of {spec.metric} is better; it is taken to be"
        if spec.num_fewshot and isinstance(sampler, FirstNSampler) and not _draws_from_what_is_scored(task):
            shown = list(islice(sampler.df, spec.num_fewshot))
            if num_leaked := num_shown_and_scored(task, shown, spec.num_docs):
                yield f"task {spec.name}: {num_leaked} of its {spec.num_fewshot} few-shot examples are scored too"
        if spec.output_type == "generate_until" and is_repeated_in_vain(task):
            repeats = task.get_config("repeats")
            yield f"task {spec.name} repeats each prompt {repeats} times and decodes greedily: one Z gives one text"
        if options.limit is not None and options.limit > num_docs:
            yield f"task {spec.name} has {num_docs} documents, fewer than --limit {options.limit:g}; all are scored"


def _spec(task: Task, options: TaskOptions, own_settings: str, opened: OpenedData) -> TaskSpec:
    num_docs = len(task.eval_docs)
    if not num_docs:
        raise TaskError(
            f"task {task.task_name} has no documents in its {task.get_config('test_split') or 'evaluation'} split"
        )
    metric = next(iter(task.aggregation()))
    dataset = "/".join(str(part) for part in (task.get_config("dataset_path"), task.get_config("dataset_name")) if part)
    limit = _limit(options.limit, num_docs)
    return TaskSpec(
        name=task.task_name,
        version=str(task.VERSION),
        output_type=str(task.OUTPUT_TYPE),
        num_fewshot=int(task.get_config("num_fewshot") or 0),
        metric=metric_name(metric, _first_filter(task)),
        higher_is_better=task.higher_is_better().get(metric) is not False,
        limit=limit,
        num_docs=limit or num_docs,
        cluster_field=cluster_field(task),
        runs_code=code_task(task.task_name) is not None or bool(getattr(task, "UNSAFE_CODE", False)),
        dataset=dataset,
        dataset_digest=dataset_digest(task, limit or num_docs, opened.all_files),
        settings_digest=own_settings,
    )


def _limit(limit: float | None, num_docs: int) -> int | None:
    """Documents to score, as lm-eval counts a share: rounded up."""
    if limit is None:
        return None
    return min(num_docs, int(limit) if limit >= 1 else ceil(num_docs * limit))


def _first_filter(task: Task) -> str:
    return str(task._filters[0].name)  # noqa: SLF001 — lm-eval offers no public way to the filters' names
