"""Task files of the user's own, from `--include-path`: looked at before lm-eval reads them as what they may do.

A task file can run code in three ways: by a YAML tag such as `!function`, by a metric that lm-eval does not know, which
it then loads as a script, and by asking for such a script outright (`hf_evaluate`). Each is refused, with file and
line, unless the user trusts the folder. Files of lm-eval and of this package are trusted, also where a file of the
user's includes them. Templates are no code here: see `templates`. Knows no dataset.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lm_eval
import yaml
from lm_eval.api import metrics as _metrics  # noqa: F401 — importing fills the registry
from lm_eval.api.registry import metric_registry
from lm_eval.tasks import TaskManager
from lm_eval.tasks._factory import GROUP_FIELD_NAMES
from lm_eval.tasks._index import Entry, Kind
from lm_eval.tasks._yaml_loader import load_yaml

from ft_eval.errors import TaskError, UsageError
from ft_eval.harness.task_files import Fault, check_task_files
from ft_eval.harness.task_index import entry_config
from ft_eval.harness.task_limits import check_bounds, check_task_limits
from ft_eval.resources import tasks_dir

_STANDARD_TAGS = "tag:yaml.org,2002:"
_PYTHON_TAGS = "tag:yaml.org,2002:python/"
_LABELS = frozenset({"tag", "task_alias"})  # say nothing of what a task asks
_NO = frozenset({"", "~", "null", "false", "no", "off"})
_REMEDY = "pass --trust-task-code if you trust this folder"


def foreign_index(folders: Sequence[Path], taken: Mapping[str, Entry], *, trust_code: bool) -> Mapping[str, Entry]:
    """The tasks and groups of these folders, by name.

    Args:
        folders: looked through at any depth.
        taken: this package's own names, which nobody may take over.
        trust_code: whether the files may name code to be run.

    Raises:
        UsageError: no such folder.
        TaskError: a file can't be read, is out of bounds, wants to run code, or takes a name of ours; the message
            begins with FILE:LINE.
    """
    found: dict[str, Entry] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--include-path {folder}: there is no such folder; expected one with task files (*.yaml)")
        if not trust_code:
            refuse_code(folder)
        check_task_limits(folder)
        found |= _index(folder)
    for name, entry in found.items():
        if name in taken:
            raise TaskError(f"{entry.yaml_path}:1: the name {name} is one of ft-eval's own; choose another")
    return found


def touched(index: Mapping[str, Entry], name: str, built: Iterable[str]) -> frozenset[str]:
    """Of the tasks that were built for a name, those whose settings their name does not tell.

    These are the tasks of the user's files, and all of a group, whoever's, that says more of one than its name.
    """
    changes = _changes(index, index[name])
    return frozenset(one for one in built if changes or (one in index and _is_foreign(index[one])))


def _changes(index: Mapping[str, Entry], entry: Entry) -> bool:
    """Whether this is a group that holds a task of its own or changes one, or has such a group within it."""
    return entry.kind is Kind.GROUP and _says_more(index, entry_config(entry))


def _says_more(index: Mapping[str, Entry], group: Mapping[str, Any]) -> bool:
    members = group.get("task")
    if not isinstance(members, list):
        return False
    return bool(set(group) - GROUP_FIELD_NAMES - _LABELS) or any(_is_more(index, member) for member in members)


def _is_more(index: Mapping[str, Entry], member: Any) -> bool:
    """Whether a group's member is more than names of tasks, or of groups that are no more either."""
    if isinstance(member, str):
        return member in index and _changes(index, index[member])
    if not isinstance(member, dict):
        return True
    if "group" in member and member["group"] not in index:  # a group that stands within this one
        return _says_more(index, member)
    key = "group" if "group" in member else "task"
    name = member.get(key)
    return bool(set(member) - {key} - _LABELS) or name not in index or _is_more(index, name)


def _is_foreign(entry: Entry) -> bool:
    """Whether a task or group is neither lm-eval's nor of this package."""
    return entry.yaml_path is not None and not _is_trusted(Path(entry.yaml_path).resolve())


def refuse_code(folder: Path) -> None:
    """Raise TaskError for the first file, or one that it includes, that names code to be run; it is not run."""
    for path in sorted(folder.rglob("*.yaml")):
        for file in _with_includes(path.resolve(), set()):
            if fault := next(_code_in(file), None):
                raise TaskError(f"{fault}; {_REMEDY}")


def _index(folder: Path) -> dict[str, Entry]:
    index: dict[str, Entry] = TaskManager(include_path=str(folder), include_defaults=False).task_index
    check_task_files(folder, {name: Path(entry.yaml_path) for name, entry in index.items() if entry.yaml_path})
    return index


def _with_includes(path: Path, seen: set[Path]) -> Iterator[Path]:
    """A file and all that it includes, as lm-eval resolves them; those of lm-eval and of ours are left out."""
    if path in seen or not path.is_file() or _is_trusted(path):
        return
    seen.add(path)
    check_bounds(path)
    yield path
    included = _read(path).get("include", [])
    for name in included if isinstance(included, list) else [included]:
        yield from _with_includes((path.parent / str(name)).resolve(), seen)


def _is_trusted(path: Path) -> bool:
    return any(path.is_relative_to(root) for root in (Path(lm_eval.__file__).resolve().parent, tasks_dir().resolve()))


def _read(path: Path) -> Mapping[str, Any]:
    """The file alone, with nothing in it imported; empty where it can't be read, which is somebody else's to say."""
    try:
        config: Mapping[str, Any] = load_yaml(path, resolve_func=False, recursive=False)
    except (ValueError, TypeError, OSError, yaml.YAMLError):
        return {}
    return config


def _code_in(path: Path) -> Iterator[Fault]:
    """What in a file would run code."""
    root = check_bounds(path)  # its bytes, as lm-eval reads them: YAML may be UTF-16
    nodes = [] if root is None else list(_nodes(root, set()))
    for node in nodes:
        if not node.tag.startswith(_STANDARD_TAGS) or node.tag.startswith(_PYTHON_TAGS):
            what = f"{node.tag} {node.value if isinstance(node.value, str) else ''}".strip()
            yield _fault(path, node, f"{what} names code to be run")
    for node in nodes:
        listed = _parts(node).get("metric_list")  # a task's, or that of one within a group
        for metric in listed.value if isinstance(listed, yaml.SequenceNode) else ():
            if reason := _script_of(_parts(metric)):
                yield _fault(path, metric, reason)


def _script_of(metric: Mapping[str, yaml.Node]) -> str:
    """Why a metric would be loaded as a script; empty where it would not."""
    if "metric" not in metric:
        return ""
    name = metric["metric"].value
    if "hf_evaluate" in metric and str(metric["hf_evaluate"].value).lower() not in _NO:
        return f"hf_evaluate loads the metric {name} as a script"
    known = isinstance(name, str) and name in metric_registry
    return "" if known else f"the metric {name} is none of lm-eval's, and would be loaded as a script"


def _parts(node: yaml.Node) -> dict[str, yaml.Node]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return {key.value: value for key, value in pairs if isinstance(key, yaml.ScalarNode)}


def _fault(path: Path, node: yaml.Node, reason: str) -> Fault:
    return Fault(file=path, line=node.start_mark.line + 1, reason=reason)


def _nodes(node: yaml.Node, seen: set[int]) -> Iterator[yaml.Node]:
    """A node and all below it, each once, whatever aliases say."""
    if id(node) in seen:
        return
    seen.add(id(node))
    yield node
    for child in node.value if isinstance(node.value, list) else ():
        for part in child if isinstance(child, tuple) else (child,):
            yield from _nodes(part, seen)
