"""What can be asked for, from the task files alone: metric, shots, items, and whether the data is at hand.

Nothing is downloaded and no dataset is opened, so it takes no longer than reading the files. "At hand" means that the
dataset's folder exists; whether it is whole shows when a task is built. Knows no model.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval.tasks._index import Entry, Kind

from ft_eval.errors import TaskError, did_you_mean
from ft_eval.harness.code_data import CodeData, benchmarks_of
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.names import NO_FILTER, metric_name
from ft_eval.harness.task_index import all_tasks, leaves, our_tasks

BUNDLED, AT_HAND, DOWNLOADED = "bundled", "at hand", "downloaded earlier"
_MAX_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One name that `--tasks` takes."""

    name: str
    metric: str
    """The primary metric; for a group how it is made of its tasks, or that it is only a selection."""
    num_fewshot: int | None
    """None where a group's tasks differ."""
    num_docs: int | None
    """Items of the whole split, over all tasks of a group; None where the file doesn't say."""
    data: str
    """`bundled`, `at hand`, `downloaded earlier` (some of it: not for --offline), or which datasets are not at hand."""
    is_detail: bool
    """A task whose group has a score of its own, such as one of MMLU's subjects."""


def list_ours(source: DataSource) -> tuple[Listing, ...]:
    """The package's own tasks and groups, by name.

    Raises:
        TaskError: a task file can't be read, with its line.
    """
    index = our_tasks().task_index
    scored = [entry for entry in index.values() if _config(entry).get("aggregate_metric_list")]
    details = {leaf.name for group in scored for leaf in leaves(index, group)}
    return tuple(_listing(index, entry, source, details) for _, entry in sorted(index.items()))


def task_file(name: str) -> Path:
    """The file that a task or group is read from.

    Raises:
        TaskError: an unknown name (with the nearest), or a tag, which has no file.
    """
    index = all_tasks().task_index
    if name not in index:
        near = did_you_mean(name[:200], list(index))
        raise TaskError(f"unknown task {name[:100]!r}{near or ';'} `ft-eval tasks --all` lists all names")
    path = index[name].yaml_path
    if path is None:
        raise TaskError(f"{name} is a tag, a name for several tasks, and has no file; name one of its tasks")
    return Path(path)


def _listing(index: Mapping[str, Entry], entry: Entry, source: DataSource, details: set[str]) -> Listing:
    tasks = leaves(index, entry)
    shots = {int(_config(leaf).get("num_fewshot") or 0) for leaf in tasks}
    sizes = [size for leaf in tasks if (size := _num_docs(leaf)) is not None]
    return Listing(
        name=entry.name,
        metric=_metric(entry) if tasks == [entry] else _group_metric(index, entry),
        num_fewshot=shots.pop() if len(shots) == 1 else None,
        num_docs=sum(sizes) if len(sizes) == len(tasks) else None,
        data=_data(tasks, source),
        is_detail=entry.name in details,
    )


def _config(entry: Entry) -> Mapping[str, Any]:
    return entry.cfg or {}


def _metric(entry: Entry) -> str:
    config = _config(entry)
    metrics = config.get("metric_list") or [{"metric": ""}]
    filters = config.get("filter_list") or [{"name": NO_FILTER}]
    return metric_name(str(metrics[0]["metric"]), str(filters[0]["name"]))


def _group_metric(index: Mapping[str, Entry], entry: Entry) -> str:
    aggregations = _config(entry).get("aggregate_metric_list")
    if not aggregations:
        return f"(selects {_num_rows(index, entry)} rows)"
    way = "micro" if aggregations[0].get("weight_by_size", True) else "macro"
    return f"{aggregations[0]['metric']}, {way} over {len(leaves(index, entry))}"


def _num_rows(index: Mapping[str, Entry], entry: Entry) -> int:
    """Scores that a name stands for: one for a task and for a group with a score of its own."""
    if entry.kind is not Kind.GROUP or _config(entry).get("aggregate_metric_list"):
        return 1
    return sum(_num_rows(index, index[name]) for name in _config(entry).get("task") or () if name in index)


def _num_docs(entry: Entry) -> int | None:
    """As the file says; a bundled split is counted."""
    config = _config(entry)
    stated = (config.get("metadata") or {}).get("num_docs")
    if stated is not None:
        return int(stated)
    split = Path(entry.yaml_path).with_name(f"{config.get('test_split')}.jsonl") if entry.yaml_path else None
    if split is None or not split.is_file():
        return None
    with split.open(encoding="utf-8") as lines:
        return sum(1 for _ in lines)


def _data(tasks: Sequence[Entry], source: DataSource) -> str:
    if all("custom_dataset" in _config(task) for task in tasks):
        return BUNDLED
    missing = [what for task in tasks for what in _missing(task, source)]
    if missing:
        return f"not at hand: {_some(list(dict.fromkeys(missing)))}"
    datasets = [str(_config(task).get("dataset_path") or "") for task in tasks]
    return AT_HAND if all(source.folder(one) for one in datasets if one) else DOWNLOADED


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_MAX_NAMED])} and {more} more"


def _missing(task: Entry, source: DataSource) -> list[str]:
    config, found = _config(task), []
    dataset = config.get("dataset_path")
    if dataset and not source.folder(dataset) and not _cached(dataset):
        found.append(str(dataset))
    found += [
        f"evalplus's tests for {benchmark}"
        for benchmark in benchmarks_of([task.name])
        if not CodeData(benchmark, data_dir=source.data_dir, offline=True).is_here
    ]
    return found


def _cached(dataset: str) -> bool:
    """Whether `datasets` has kept it from an earlier download, where `datasets` keeps things."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    kept = Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets")
    return (kept / dataset.replace("/", "___").lower()).is_dir()
