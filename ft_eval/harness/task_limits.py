"""Task files from elsewhere, looked at before lm-eval reads them: their size, their depth, their keys, their types.

YAML takes the last of two equal keys without a word, reads `no` as false and `1e5` as a text, and makes a gigabyte of
ten lines of aliases. Here each of these is a line that says where. Runs nothing; knows no dataset.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import lm_eval
import yaml
from lm_eval.api.group import GroupConfig
from lm_eval.api.task import TaskConfig

from ft_eval.errors import TaskError, did_you_mean
from ft_eval.harness.generation_kwargs import check_generation_kwargs
from ft_eval.harness.task_shapes import shape_faults
from ft_eval.resources import tasks_dir

MAX_BYTES = 2**20
MAX_NODES = 20_000
"""Of a file, an alias counted as all that it stands for."""
MAX_DEPTH = 40
_SUFFIXES = (".yaml", ".yml")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FUNCTION = "!function"
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null"))
_DATED = "tag:yaml.org,2002:timestamp"
_NAME = re.compile(r"[A-Za-z0-9][^/\\,]{0,127}")
_EXTRA_KEYS = ("include", "class", "task_list", "group", "group_alias", "aggregate_metric_list")
_KEYS = frozenset({field.name for field in (*fields(TaskConfig), *fields(GroupConfig))} | set(_EXTRA_KEYS))

_Fault = tuple[yaml.Node, str]
_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "a text": lambda value: isinstance(value, str),
    "a whole number, 0 or more": lambda value: type(value) is int and 0 <= value < 2**31,
    "a whole number, 1 to 100,000": lambda value: type(value) is int and 1 <= value <= 100_000,
    "true or false": lambda value: isinstance(value, bool),
    "a mapping": lambda value: isinstance(value, dict),
}
_TEXTS = (
    "task_alias", "group_alias", "dataset_path", "dataset_name", "training_split", "validation_split", "test_split",
    "fewshot_split", "output_type", "description", "target_delimiter", "fewshot_delimiter", "gen_prefix",
)  # fmt: skip
_EXPECTED: Mapping[str, str] = {
    **dict.fromkeys(_TEXTS, "a text"),
    "num_fewshot": "a whole number, 0 or more",
    "repeats": "a whole number, 1 to 100,000",
    "should_decontaminate": "true or false",
    "unsafe_code": "true or false",
    "dataset_kwargs": "a mapping",
    "generation_kwargs": "a mapping",
    "metadata": "a mapping",
}


def check_task_limits(folder: Path) -> None:
    """Hold every task file of a folder from elsewhere to bounds, known keys and plain types.

    Raises:
        TaskError: the first file that is off; the message begins with FILE:LINE.
    """
    root = folder.resolve()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES):
        if not path.resolve().is_relative_to(root):
            raise TaskError(f"{path}:1: leads out of {folder}; put the file itself there")
        check_task_file(path, root)


def check_task_file(path: Path, root: Path | None = None) -> None:
    """Hold one task file to bounds, known keys and plain types.

    Args:
        path: a YAML file.
        root: the folder that what it includes must lie in; None leaves includes alone.

    Raises:
        TaskError: with FILE:LINE. What is no YAML at all is left to `task_files`, which says more of it.
    """
    if (node := check_bounds(path)) is not None:
        _raise_first(path, _faults(node, path, root))


def check_bounds(path: Path) -> yaml.Node | None:
    """Hold one task file to its bounds of size, depth and number; safe for any file.

    Returns:
        Its tree; None where it is no YAML.

    Raises:
        TaskError: with FILE:LINE.
    """
    text = _read(path)
    try:
        _check_events(path, text)
        node: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError):  # task_files names it with its line
        return None
    if node is not None:
        _raise_first(path, _growth(node))
    return node


def _raise_first(path: Path, faults: Iterator[_Fault]) -> None:
    for culprit, reason in faults:
        raise TaskError(f"{path}:{_line(culprit.start_mark)}: {reason}")


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise TaskError(f"{path}:1: is no file")
    if path.stat().st_size > MAX_BYTES:
        raise TaskError(f"{path}:1: has {path.stat().st_size} bytes, a task file at most {MAX_BYTES}")
    return path.read_bytes()


def _check_events(path: Path, text: bytes) -> None:
    """Bound depth and number before a tree is made of them."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or number > MAX_NODES:
            what = f"nested more than {MAX_DEPTH} deep" if depth > MAX_DEPTH else f"more than {MAX_NODES} values"
            raise TaskError(f"{path}:{_line(event.start_mark)}: {what}; that is no task file")


def _line(mark: Any) -> int:
    """Counted from 1; 1 where the parser gives no place."""
    return 1 if mark is None else int(mark.line) + 1


def _faults(node: yaml.Node, path: Path, root: Path | None) -> Iterator[_Fault]:
    yield from _odd_tags(node)
    yield from _odd_keys(node)
    if isinstance(node, yaml.MappingNode):
        yield from _top_level(node, path, root)


def _growth(node: yaml.Node) -> Iterator[_Fault]:
    """Aliases of aliases: what the file says once, counted as often as it is meant."""
    sizes: dict[int, int] = {}

    def size(one: yaml.Node, above: frozenset[int]) -> int:
        if id(one) in above:
            return MAX_NODES + 1  # it holds itself
        if id(one) not in sizes:
            inside = above | {id(one)}
            sizes[id(one)] = 1 + sum(size(child, inside) for child in _children(one))
        return sizes[id(one)]

    if size(node, frozenset()) > MAX_NODES:
        yield node, f"its aliases make more than {MAX_NODES} values, or one that holds itself; that is no task file"


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _walk(node: yaml.Node) -> Iterator[yaml.Node]:
    """Every node once, whatever aliases there are."""
    seen, waiting = set(), [node]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += reversed(_children(one))


def _odd_tags(node: yaml.Node) -> Iterator[_Fault]:
    for one in _walk(node):
        if one.tag == _DATED:
            yield one, f"{one.value} is read as a date; put it in quotes"
        elif one.tag == "tag:yaml.org,2002:merge":
            yield one, "merge keys (<<) are not for a task file; write `include: FILE`"
        elif one.tag not in _PLAIN_TAGS and one.tag != _FUNCTION:
            tag = one.tag.replace("tag:yaml.org,2002:", "!!")[:80]
            yield one, f"the tag {tag} is refused: a task file is plain data; register a Python task instead"


def _odd_keys(node: yaml.Node) -> Iterator[_Fault]:
    """Keys that stand twice, and those that are a list or a mapping."""
    for one in _walk(node):
        seen: set[str] = set()
        for key, _ in one.value if isinstance(one, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                yield key, "a key is a list or a mapping, expected a text; braces of a template need quotes around them"
            elif key.value in seen:
                yield key, f"the key {key.value[:80]} stands twice; remove one of the two"
            else:
                seen.add(key.value)


def _top_level(node: yaml.MappingNode, path: Path, root: Path | None) -> Iterator[_Fault]:
    entries = {key.value: (key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    for name, (key, value) in entries.items():
        if name not in _KEYS and "class" not in entries:
            yield key, f"unknown key {name[:80]}{did_you_mean(name[:80], _KEYS)}"
        elif name in ("task", "group") and isinstance(value, yaml.ScalarNode):
            yield from _name_faults(value)
        elif name == "task" and isinstance(value, yaml.SequenceNode):
            yield from _members_faults(value, path, root)
        elif name == "include" and root is not None:
            yield from _include_faults(value, path, root)
        elif name in _EXPECTED and value.tag != _FUNCTION:
            yield from _type_faults(name, value)
        yield from shape_faults(name, value)


def _members_faults(members: yaml.SequenceNode, path: Path, root: Path | None) -> Iterator[_Fault]:
    """A group's members that are tasks of their own, or change others; lm-eval keeps the last of two of one name."""
    seen: set[str] = set()
    changed: set[str] = set()
    for member in members.value:
        parts = member.value if isinstance(member, yaml.MappingNode) else []
        named = [value for key, value in parts if isinstance(key, yaml.ScalarNode) and key.value in {"task", "group"}]
        name = next((one.value for one in (*named, member) if isinstance(one, yaml.ScalarNode)), None)
        if name in seen and (parts or name in changed):
            yield member, f"the member {name[:80]} stands twice; make a task of its own of each, by `include`"
        if name is not None:
            seen.add(name)
            changed |= {name} if parts else set()
        if isinstance(member, yaml.MappingNode):
            yield from _top_level(member, path, root)


def _name_faults(value: yaml.ScalarNode) -> Iterator[_Fault]:
    if not _NAME.fullmatch(value.value) or not value.value.isprintable():
        rule = "1 to 128 visible characters without slashes and commas, a letter or digit first"
        yield value, f"the name {value.value[:80]!r} is refused: a name is {rule}"


def _include_faults(value: yaml.Node, path: Path, root: Path) -> Iterator[_Fault]:
    for one in _walk(value):
        if isinstance(one, yaml.ScalarNode):
            try:
                included = (path.parent / one.value).resolve()
                is_file = included.is_file()
            except (OSError, ValueError):  # too long, or with a NUL
                yield one, f"includes {one.value[:80]!r}, which is no file's name"
                continue
            if any(included.is_relative_to(trusted) for trusted in _trusted()):
                continue
            if not included.is_relative_to(root):
                yield one, f"includes {one.value[:80]}, which is outside {root}"
            elif is_file and included.suffix not in _SUFFIXES:
                check_task_file(included, root)


def _trusted() -> tuple[Path, ...]:
    """The folders of lm-eval's task files and of this package's."""
    return Path(lm_eval.__file__).resolve().parent, tasks_dir().resolve()


def _type_faults(name: str, node: yaml.Node) -> Iterator[_Fault]:
    """A value of another type than is meant, with what YAML made of it."""
    value = _constructed(node)
    if value is None:
        return
    expected = _EXPECTED[name]
    if not _KINDS[expected](value):
        written = node.value if isinstance(node, yaml.ScalarNode) else type(value).__name__
        reading = f" ({written[:40]} is read as {str(value)[:40]})" if str(value) != written else ""
        hint = "; put it in quotes" if expected == "a text" else ""
        yield node, f"{name} is {written[:80]}{reading}, expected {expected}{hint}"
    elif name == "generation_kwargs":
        try:
            check_generation_kwargs(value)
        except TaskError as error:
            yield node, str(error)


def _constructed(node: yaml.Node) -> Any:
    """What lm-eval's loader would make of a node."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()
