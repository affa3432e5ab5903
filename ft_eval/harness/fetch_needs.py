"""Which datasets tasks read, from their files alone: nothing is built, no dataset is opened, no code of theirs is run.

Tasks, groups and tags, ours and lm-eval's. Knows no hub.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval.tasks._index import Entry, Kind

from ft_eval.errors import DataError, TaskError, did_you_mean
from ft_eval.harness.code_data import benchmarks_of
from ft_eval.harness.fetch_cards import pattern_list
from ft_eval.harness.fetch_files import safe_path
from ft_eval.harness.mirror import _BUILDERS
from ft_eval.harness.task_files import one_line
from ft_eval.harness.task_index import all_tasks, entry_config, our_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetNeed:
    """What some tasks read of one dataset repository."""

    id: str
    configs: tuple[str | None, ...]
    """By name, each once; None is the default one. Empty where only `patterns` are read."""
    patterns: tuple[str, ...] = ()
    """Files that a task names itself, past the card."""
    revision: str | None = None
    """The one that a task's file fixes, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchNeeds:
    """What some tasks need."""

    datasets: tuple[DatasetNeed, ...]
    code_tasks: tuple[str, ...]
    """Those that are scored by evalplus's release files."""
    bundled: tuple[str, ...]
    """Tasks that need nothing: their data comes with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What one task reads: nothing where `dataset` is empty."""

    task: str
    dataset: str = ""
    config: str | None = None
    patterns: tuple[str, ...] = ()
    revision: str | None = None


def fetch_needs(names: Sequence[str]) -> FetchNeeds:
    """What the tasks behind these names read, each dataset once, in the order asked for.

    Raises:
        TaskError: no name, an unknown one, or a task whose file doesn't say what it reads.
        DataError: a dataset's id is none.
    """
    if not names:
        raise TaskError("no task was named; pass --tasks NAME[,NAME…], such as free_transformer or gsm8k")
    manager = our_tasks()
    if not set(names) <= set(manager.task_index):
        manager = all_tasks()
    index: Mapping[str, Entry] = manager.task_index
    for name in names:
        if name not in index:
            near = did_you_mean(name, index) or ";"
            raise TaskError(f"unknown task {name!r}{near} `ft-eval tasks` lists all names")
    reads = list({one.task: one for name in names for one in _reads(index, name, frozenset())}.values())
    ids = dict.fromkeys(one.dataset for one in reads if one.dataset)
    return FetchNeeds(
        datasets=tuple(_need(dataset, [one for one in reads if one.dataset == dataset]) for dataset in ids),
        code_tasks=benchmarks_of(one.task for one in reads),
        bundled=tuple(one.task for one in reads if not one.dataset),
    )


def _need(dataset: str, reads: Sequence[_Read]) -> DatasetNeed:
    revisions = {one.revision for one in reads if one.revision is not None}
    if len(revisions) > 1:
        tasks = ", ".join(one.task for one in reads if one.revision is not None)
        raise TaskError(f"the tasks {tasks} fix different revisions of {dataset}; fetch them into different folders")
    return DatasetNeed(
        id=dataset,
        configs=tuple(dict.fromkeys(one.config for one in reads if not one.patterns)),
        patterns=tuple(dict.fromkeys(pattern for one in reads for pattern in one.patterns)),
        revision=next(iter(revisions), None),
    )


def _reads(index: Mapping[str, Entry], name: str, above: frozenset[str]) -> Iterator[_Read]:
    """Each task behind a name. A group of lm-eval's has to be read from its file: the index keeps its path alone."""
    entry = index[name]
    if entry.kind is Kind.TAG:
        for member in sorted(entry.tags):
            yield from _reads(index, member, above | {name})
        return
    config = entry_config(entry)
    if entry.kind is not Kind.GROUP:
        yield _read(name, config)
        return
    for member in config.get("task") or ():
        yield from _member(index, name, member, above | {name})


def _member(index: Mapping[str, Entry], group: str, member: Any, above: frozenset[str]) -> Iterator[_Read]:
    """A group's member: a name, or a mapping that is a task of its own, changes one, or is a group again."""
    if isinstance(member, str) and member in index and member not in above:
        yield from _reads(index, member, above)
    elif isinstance(member, Mapping) and isinstance(member.get("task"), list):
        for one in member["task"]:
            yield from _member(index, group, one, above)
    elif isinstance(member, Mapping):
        name = str(member.get("task") or group)
        base = index.get(name)
        own = {} if base is None or base.kind in {Kind.GROUP, Kind.TAG} else entry_config(base)
        yield _read(f"{group}/{name}", {**own, **member})
    else:
        raise TaskError(f"group {group} names {member!r:.80}, and there is no such task or group")


def _read(task: str, config: Mapping[str, Any]) -> _Read:
    if "custom_dataset" in config:
        return _Read(task=task)
    dataset, options = config.get("dataset_path"), config.get("dataset_kwargs") or {}
    if not isinstance(dataset, str) or not dataset:
        raise TaskError(
            f"task {task} doesn't say in its file which dataset it reads (its code does); fetch that repository by hand"
            " to DIR/ORG/NAME"
        )
    if Path(dataset).is_dir():
        return _Read(task=task)
    if dataset in _BUILDERS:
        return _local_files(task, options)
    name = config.get("dataset_name")
    return _Read(
        task=task,
        dataset=_checked_id(task, dataset),
        config=None if name is None else str(name),
        patterns=_patterns(task, options),
        revision=None if options.get("revision") is None else str(options["revision"]),
    )


def _local_files(task: str, options: Mapping[str, Any]) -> _Read:
    if "://" in str(options.get("data_files")):
        raise TaskError(f"task {task} reads files by their address, not a dataset repository; they can't be mirrored")
    return _Read(task=task)


def _patterns(task: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    folder = str(options.get("data_dir") or "").strip("/")
    if options.get("data_files") is None:
        return (f"{folder}/**",) if folder else ()
    try:
        return tuple(f"{folder}/{one}" if folder else one for _, one in pattern_list(options["data_files"]))
    except (ValueError, KeyError) as error:
        raise TaskError(f"task {task}: its data_files can't be fetched: {one_line(error)}") from error


def _checked_id(task: str, dataset: str) -> str:
    try:
        safe_path(dataset)
    except DataError as error:
        raise DataError(f"task {task}: {error}") from error
    if dataset.count("/") > 1:
        raise DataError(f"task {task} reads {dataset!r:.100}, which is no ORG/NAME; it can't be fetched")
    return dataset
