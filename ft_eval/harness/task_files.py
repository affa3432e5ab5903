"""Task files that can't be read or used: which file, which line, and why. lm-eval leaves them out without a word.

Files are read by lm-eval's own loader; only what it says of a bad one is put into words here. Knows no dataset.
"""

import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lm_eval.tasks._yaml_loader import _import_func_in_yml, load_yaml

from ft_eval.errors import FtEvalError, TaskError, did_you_mean

_KINDS = ("task", "group", "class")
_LEFT_OUT = frozenset({"__pycache__", ".ipynb_checkpoints"})
"""Folders that lm-eval doesn't look into."""
_SENTENCE = re.compile(r"Unknown \w+ '|Attempted to use ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong where."""

    file: Path
    line: int
    """Counted from 1."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


def check_task_files(folder: Path, indexed: Mapping[str, Path]) -> None:
    """Look at the files of a folder that lm-eval's index of it has no entry for.

    Args:
        folder: where task files are looked for, at any depth.
        indexed: the file of each name in the index.

    Raises:
        TaskError: there is such a file; the message begins with FILE:LINE.
    """
    for path in sorted(folder.rglob("*.yaml")):
        if path not in indexed.values() and not _LEFT_OUT.intersection(path.parts):
            raise TaskError(f"{_reading_fault(path, indexed)}; mend the file, or take it out of {folder}")


def building_fault(path: Path, error: BaseException) -> Fault:
    """Where a task's file is at fault for what was raised while the task was built.

    The line is that of a `!function` that can't be imported, else the one in a task's own code that raised, else the
    first with a name that the error quotes, else 1.
    """
    fault, reason = _function_fault(path, error) or code_fault(error), one_line(error)
    if fault is not None:
        return fault
    quoted = re.findall(r"'([^']+)'", reason)
    lines = ((file, _line_of(file, re.escape(name))) for name in quoted for file in _with_includes(path))
    file, line = next(((file, line) for file, line in lines if line), (path, 1))
    return Fault(file=file, line=line, reason=reason)


def code_fault(error: BaseException) -> Fault | None:
    """The line of a user's own task code, the last one called, behind an error; None where no such code was called."""
    frames = [
        (Path(frame.f_code.co_filename), frame.f_globals.get("__name__"), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]  # lm-eval names a module of a user's by its path
    places = [(file, line) for file, name, line in frames if file.is_absolute() and name == str(file.with_suffix(""))]
    if not places:
        return None
    file, line = places[-1]
    return Fault(file=file, line=line, reason=f"{type(error).__name__}: {one_line(error)}")


@contextmanager
def code_faults(task: str) -> Iterator[None]:
    """Within this context what a user's own task code raises is a TaskError that names task, file and line."""
    try:
        yield
    except FtEvalError:
        raise
    except Exception as error:  # their code may raise anything; what others raise goes on as it is
        if fault := code_fault(error):
            raise TaskError(f"task {task}: {fault}") from error
        raise


def naming_fault(path: Path, key: str, name: str, reason: str) -> Fault:
    """Where a task's file, or one that it includes, names under some key what isn't there."""
    pattern = rf"\b{key}\W+{re.escape(name)}(?!\w)"
    lines = ((file, _line_of(file, pattern)) for file in _with_includes(path))
    file, line = next(((file, line) for file, line in lines if line), (path, 1))
    return Fault(file=file, line=line, reason=reason)


def member_fault(path: Path, member: str) -> Fault:
    """A group's file that names what isn't there."""
    line = _line_of(path, rf"\b{re.escape(member)}\b")
    return Fault(file=path, line=line or 1, reason=f"there is no task or group {member}")


def _function_fault(path: Path, error: BaseException) -> Fault | None:
    """The first `!function` of a task file, or of one that it includes, that names nothing that can be imported.

    The reason is what was raised first: run again, a module may stumble over what it registered before it failed.
    """
    for file in _with_includes(path):
        for line, name in _functions(file):
            try:
                _import_func_in_yml(name, file.parent)
            except Exception:  # noqa: BLE001 — importing runs the module, which may raise anything; it was told already
                return Fault(file=file, line=line, reason=f"!function {name} can't be had: {one_line(error)}")
    return None


def _reading_fault(path: Path, indexed: Mapping[str, Path]) -> Fault:
    try:
        config = load_yaml(path, resolve_func=False)
    except yaml.MarkedYAMLError as error:
        return _marked(path, error)
    except FileNotFoundError as error:
        return _missing_include(path, str(error.filename))
    except (ValueError, TypeError, OSError, yaml.YAMLError) as error:  # a cycle, no mapping, bytes that are no text
        return Fault(file=path, line=1, reason=f"can't be read: {one_line(error)}")
    return _shape_fault(path, config, indexed)


def _marked(path: Path, error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    reason = f"no YAML: {error.problem or error.context}"
    if mark is None:
        return Fault(file=path, line=1, reason=reason)
    named = Path(mark.name)
    return Fault(file=named if named.is_file() else path, line=mark.line + 1, reason=reason)


def _missing_include(path: Path, missing: str) -> Fault:
    """The file that includes what is not there may be an included one itself."""
    name = Path(missing).name
    for file in _with_includes(path):
        if line := _line_of(file, re.escape(name)):
            return Fault(file=file, line=line, reason=f"includes {name}, and there is no file {missing}")
    return Fault(file=path, line=1, reason=f"there is no file {missing}")


def _shape_fault(path: Path, config: Mapping[str, Any], indexed: Mapping[str, Path]) -> Fault:
    kind = next((kind for kind in _KINDS if kind in config), None)
    if kind is None:
        hints = "".join(did_you_mean(str(key), _KINDS, count=1) for key in config)
        return Fault(file=path, line=1, reason=f"has none of the keys task and group{hints}")
    name = config.get("group") if kind == "group" else config.get("task")
    line = _line_of(path, r"^\W?(task|group)\b") or 1
    if not isinstance(name, str):
        return Fault(file=path, line=line, reason=f"its name is {name!r}; expected a text")
    return Fault(file=path, line=line, reason=f"the name {name} is taken by {indexed.get(name, 'another file')}")


def _with_includes(path: Path, seen: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """A file and the files it includes, as far as they can be read."""
    if path in seen or not path.is_file():
        return
    yield path
    for name in re.findall(r"^\W?include\W*:\s*(.+?)\s*$", _text(path), flags=re.MULTILINE):
        for part in re.split(r"[\s,\[\]\"']+", name):
            if part:
                yield from _with_includes((path.parent / part).resolve(), seen | {path})


def _functions(path: Path) -> list[tuple[int, str]]:
    """Line, from 1, and name of each `!function` in a file."""
    lines = enumerate(_text(path).splitlines(), start=1)
    return [(number, found[1]) for number, line in lines if (found := re.search(r"!function\s+([\w.]+)", line))]


def _line_of(path: Path, pattern: str) -> int:
    """The first line that has the pattern and is no comment, from 1; 0 for none."""
    lines = enumerate(_text(path).splitlines(), start=1)
    return next((number for number, line in lines if not line.startswith("#") and re.search(pattern, line)), 0)


def one_line(error: BaseException) -> str:
    """An error in at most 300 characters, its type where it says nothing itself, its cause where that says more."""
    text = str(error)
    if "generating the dataset" in text and error.__cause__ is not None:
        text = f"its data can't be read: {error.__cause__}"
    elif _has_no_aggregation(error):
        text = "a metric of 'metric_list' has no aggregation, and none is registered for it; write `aggregation: mean`"
    elif isinstance(error, KeyError):
        text = str(error.args[0]) if is_unregistered(error) else f"there is no {text}"
    elif text.startswith("malformed node or string"):  # what the template printed is no literal of Python's
        text = "'doc_to_choice' gives no list of choices"
    return " ".join(text.split())[:300] or type(error).__name__


def is_unregistered(error: BaseException) -> bool:
    """Whether it is lm-eval that has nothing of a name, which it says in a sentence, and no document."""
    return isinstance(error, KeyError) and bool(error.args) and bool(_SENTENCE.match(str(error.args[0])))


def _has_no_aggregation(error: BaseException) -> bool:
    """What lm-eval raises then: it looks the name of no function up."""
    return isinstance(error, KeyError) and error.args == (None,)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
