"""lm-eval's index of its own tasks, kept between runs: parsing its 14,000 files takes seconds, reading ours a blink.

What is kept is names, kinds, paths and tags; a task itself is always read from lm-eval's own file. The cache is plain
JSON under the user's cache folder, named after lm-eval's version and place; a stale or damaged one is made anew.
Knows no dataset and no model.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import Entry, Kind
from lm_eval.tasks._yaml_loader import load_yaml

from ft_eval.errors import TaskError
from ft_eval.harness.task_files import check_task_files, one_line
from ft_eval.records import content_hash
from ft_eval.resources import tasks_dir, user_cache_dir

_FORMAT = 1


def our_tasks() -> TaskManager:
    """A manager that knows the tasks of this package alone.

    Raises:
        TaskError: a task file can't be read, with its line.
    """
    folder = tasks_dir()
    with _hushed("lm_eval.tasks._index"):
        manager = TaskManager(include_path=str(folder), include_defaults=False)
    indexed = {name: Path(entry.yaml_path) for name, entry in manager.task_index.items() if entry.yaml_path}
    check_task_files(folder, indexed)
    return manager


def all_tasks() -> TaskManager:
    """A manager that knows lm-eval's tasks and ours; ours win over theirs of the same name."""
    manager = our_tasks()
    stock = _read_cache() or _build_cache()
    return with_tasks(manager, {**stock, **manager._index})  # noqa: SLF001 — lm-eval has no way to hand it an index


def with_tasks(manager: TaskManager, entries: Mapping[str, Entry]) -> TaskManager:
    """The manager, which knows these too from now on; they win over lm-eval's of the same name."""
    index: dict[str, Entry] = {**manager._index, **entries}  # noqa: SLF001 — as above
    manager._index = index  # noqa: SLF001 — as above
    manager._all_tasks = sorted(index)  # noqa: SLF001 — as above
    return manager


def leaves(index: Mapping[str, Entry], entry: Entry, above: tuple[str, ...] = ()) -> list[Entry]:
    """The tasks behind an entry, each once, in order; of a stock group, whose file has not been read, none.

    Args:
        index: all entries, by name.
        entry: a task, a group or a tag.
        above: the groups that it was reached through.

    Raises:
        TaskError: a group holds itself.
    """
    if entry.name in above:
        raise TaskError(f"group {entry.name} holds itself: {' > '.join([*above, entry.name])}; take it out of one")
    if entry.kind is Kind.GROUP:
        members = (entry.cfg or {}).get("task") or ()
        names = [name for name in members if isinstance(name, str) and name in index]
    elif entry.kind is Kind.TAG:
        names = sorted(entry.tags)
    else:
        return [entry]
    return list(
        {leaf.name: leaf for name in names for leaf in leaves(index, index[name], (*above, entry.name))}.values()
    )


def entry_config(entry: Entry) -> Mapping[str, Any]:
    """What a task or group says of itself: by its file, no code run, where the kept index has the path alone.

    Raises:
        TaskError: the file can't be read.
    """
    config: Mapping[str, Any] | None = entry.cfg
    try:
        return config or load_yaml(str(entry.yaml_path), resolve_func=False)
    except Exception as error:  # the loader raises what the file and its includes make it raise
        raise TaskError(f"task {entry.name}: {entry.yaml_path} can't be read: {one_line(error)}") from error


def _cache_file() -> Path:
    where = content_hash([lm_eval.__version__, str(_stock_dir()), _FORMAT])[:16]
    return user_cache_dir() / f"lm-eval-tasks-{where}.json"


def _stock_dir() -> Path:
    return Path(lm_eval.__file__).parent / "tasks"


def _read_cache() -> dict[str, Entry] | None:
    try:
        rows = json.loads(_cache_file().read_text(encoding="utf-8"))
        return {row["name"]: _entry(row) for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _entry(row: dict[str, Any]) -> Entry:
    path = None if row["path"] is None else _stock_dir() / row["path"]
    return Entry(name=row["name"], kind=Kind[row["kind"]], yaml_path=path, tags=set(row["tags"]))


def _build_cache() -> dict[str, Entry]:
    with _hushed("lm_eval.tasks._index"):
        index: dict[str, Entry] = TaskManager(include_defaults=True)._index  # noqa: SLF001 — as above
    rows = [_row(entry) for entry in index.values()]
    path = _cache_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(rows), encoding="utf-8")
        temporary.replace(path)
    except OSError:  # a cache that can't be written is a slower start, nothing more
        pass
    return index


def _row(entry: Entry) -> dict[str, Any]:
    path = None if entry.yaml_path is None else str(Path(entry.yaml_path).relative_to(_stock_dir()))
    return {"name": entry.name, "kind": entry.kind.name, "path": path, "tags": sorted(entry.tags)}


@contextmanager
def _hushed(name: str) -> Iterator[None]:
    """The logger of that name speaks only of errors meanwhile."""
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
