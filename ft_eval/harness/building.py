"""From one name to what lm-eval builds for it, or to which leaf can't be built, in which file and line, and why."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import Entry, Kind

from ft_eval.errors import FtEvalError, TaskError, did_you_mean
from ft_eval.harness.data_lines import named_lines
from ft_eval.harness.documents import settings_digest
from ft_eval.harness.mirror import OpenedData
from ft_eval.harness.task_data import data_hint
from ft_eval.harness.task_files import building_fault, member_fault, one_line


def build(manager: TaskManager, name: str, opened: OpenedData) -> Any:
    """What lm-eval makes of a name: its tasks and groups, each by name.

    Raises:
        TaskError: an unknown name (with the nearest), or a task that can't be built, with FILE:LINE.
        DataError: a dataset that is not at hand, or can't be read.
    """
    if name not in manager.all_tasks:
        near = did_you_mean(name[:200], manager.all_tasks)
        raise TaskError(f"unknown task {short_name(name)!r}{near or ';'} `ft-eval tasks` lists all names")
    try:
        with named_lines(lambda: opened.files):
            return manager.load([name])
    except FtEvalError:
        raise
    except Exception as error:  # building runs the task file's own code and templates, which may raise anything
        raise TaskError(_why_not(manager, name, error, opened)) from error


def refuse_two_kinds(name: str, known: Mapping[str, Task], built: Mapping[str, Task]) -> None:
    """Raise TaskError for a task that was built before, and otherwise: only one of the two would be asked.

    Args:
        name: what it was built for now, such as a group that changes it.
        known: what was built before, by name.
        built: what was built now.
    """
    for one in known.keys() & built.keys():
        if settings_digest(known[one]) != settings_digest(built[one]):
            raise TaskError(
                f"--tasks {short_name(name)}: it has the task {one} with other settings than a name before it; ask "
                "for the two in two runs, or give one a name of its own, in a file that includes the other"
            )


def short_name(name: str) -> str:
    """A name that may be of any length, for an error line."""
    return name if len(name) <= 100 else f"{name[:97]}..."


def _why_not(manager: TaskManager, name: str, error: Exception, opened: OpenedData) -> str:
    """Which leaf can't be built, in which file and line, and why."""
    entry = manager.task_index[name]
    members = _members(entry)
    if absent := [member for member in members if member not in manager.task_index]:
        return f"group {name} can't be built: {member_fault(Path(str(entry.yaml_path)), absent[0])}"
    for member in members:
        try:
            manager.load([member])
        except FtEvalError:
            raise
        except Exception as found:  # noqa: BLE001 — as above
            told = error if "already registered" in str(found) else found  # by the same code, when it ran before
            return _why_not(manager, member, told, opened)
    reason = one_line(error) if entry.yaml_path is None else building_fault(Path(entry.yaml_path), error)
    return f"task {name} can't be built: {reason}{data_hint(error, opened.splits)}"


def _members(entry: Entry) -> Sequence[str]:
    """The names behind a group of ours or a tag; none for a task."""
    if entry.kind is Kind.TAG:
        return sorted(entry.tags)
    members = (entry.cfg or {}).get("task") if entry.kind is Kind.GROUP else None
    return [member for member in members if isinstance(member, str)] if isinstance(members, list) else []
