"""The shape of what a task file from elsewhere sets: lists of metrics and filters, names, examples, output type.

lm-eval takes these as they come, and falls over them later, far from the file. Looks at YAML nodes, so that what is off
has its line; a `!function` may stand for whatever lm-eval takes code for. Runs nothing; knows no dataset.
"""

import inspect
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from dataclasses import fields

import regex
import yaml
from lm_eval import filters as _filters  # noqa: F401 — importing fills the registry
from lm_eval.api.registry import FILTER_REGISTRY
from lm_eval.api.samplers import SAMPLER_REGISTRY
from lm_eval.api.task import ALL_OUTPUT_TYPES
from lm_eval.config.task import FewshotConfig

from ft_eval.errors import did_you_mean
from ft_eval.harness.document_faults import MUST_MATCH

Fault = tuple[yaml.Node, str]
_Shape = Callable[[str, yaml.Node], Iterator[Fault]]
_FUNCTION = "!function"
_TAG = "tag:yaml.org,2002:"


def shape_faults(key: str, node: yaml.Node) -> Iterator[Fault]:
    """What is off in the value of a task file's key, each with its place; nothing for a key that isn't known here."""
    shape = _SHAPES.get(key)
    if shape is not None:
        yield from shape(key, node)


def _name(what: str, node: yaml.Node) -> Iterator[Fault]:
    """A task's or group's name; under `task` of a group, its members."""
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            if not isinstance(one, yaml.MappingNode):
                yield from _text(f"a member of {what}", one)
    elif not isinstance(node, yaml.MappingNode):
        yield from _text(what, node)


def _tags(what: str, node: yaml.Node) -> Iterator[Fault]:
    for one in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        if not _is_null(node):
            yield from _text(what, one)


def _output_type(what: str, node: yaml.Node) -> Iterator[Fault]:
    yield from _one_of(what, node, ALL_OUTPUT_TYPES)


def _metric_list(what: str, node: yaml.Node) -> Iterator[Fault]:
    for item in (yield from _mappings(what, node, "a list of metrics")):
        parts = _parts(item)
        if "metric" not in parts:
            yield item, f"an item of {what} has no metric"
        elif not _is_code(parts["metric"]):
            yield from _text(f"a metric of {what}", parts["metric"])
        if "aggregation" in parts and not _is_code(parts["aggregation"]):
            yield from _text(f"an aggregation of {what}", parts["aggregation"])  # names are looked up once it is built
        if "higher_is_better" in parts and parts["higher_is_better"].tag != f"{_TAG}bool":
            higher = parts["higher_is_better"]
            yield higher, f"higher_is_better of {what} is {_shown(higher)}, expected true or false"


def _filter_list(what: str, node: yaml.Node) -> Iterator[Fault]:
    for item in (yield from _mappings(what, node, "a list of filters")):
        parts = _parts(item)
        for key in ("name", "filter"):
            if key not in parts:
                yield item, f"an item of {what} has no {key}"
                return
        yield from _text(f"a name of {what}", parts["name"])
        for step in (yield from _mappings(f"a filter of {what}", parts["filter"], "a list of functions")):
            yield from _filter_step(what, step)


def _filter_step(what: str, step: yaml.MappingNode) -> Iterator[Fault]:
    parts = _parts(step)
    function = parts.pop("function", None)
    if function is None:
        yield step, f"a filter of {what} has no function"
    elif function.tag != f"{_TAG}str":
        yield from () if _is_code(function) else _text(f"a function of {what}", function)
    elif function.value in FILTER_REGISTRY:  # another may be registered by code of the user's, or building names it
        taken = inspect.signature(FILTER_REGISTRY[function.value]).parameters
        is_open = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values())
        for name, value in parts.items():
            if name not in taken and not is_open:
                yield value, f"the filter {function.value} takes no {name[:80]}, only {', '.join(taken) or 'its name'}"
            elif name == "regex_pattern":
                yield from _text(f"a regex_pattern of {what}", value)


def _fewshot_config(what: str, node: yaml.Node) -> Iterator[Fault]:
    if _is_null(node):
        return
    if not isinstance(node, yaml.MappingNode):
        yield node, f"{what} is {_shown(node)}, expected a mapping"
        return
    known = [field.name for field in fields(FewshotConfig)]
    for name, value in _parts(node).items():
        if name not in known:
            yield value, f"{what} has the unknown key {name[:80]}{did_you_mean(name[:80], known)}"
        elif name == "sampler" and not _is_code(value):
            yield from _one_of(f"sampler of {what}", value, SAMPLER_REGISTRY)
        elif name == "samples" and not (_is_code(value) or _is_null(value)):
            yield from _samples(f"samples of {what}", value)


def _samples(what: str, node: yaml.Node) -> Iterator[Fault]:
    if not isinstance(node, yaml.SequenceNode):
        yield node, f"{what} is {_shown(node)}, expected a list of documents"
        return
    for one in node.value:
        if not isinstance(one, yaml.MappingNode):
            yield one, f"an item of {what} is {_shown(one)}, expected a mapping"


def _metadata(what: str, node: yaml.Node) -> Iterator[Fault]:
    wanted = _parts(node).get(MUST_MATCH)
    if wanted is None:
        return
    if not isinstance(wanted, yaml.MappingNode):
        yield wanted, f"{MUST_MATCH} of {what} is {_shown(wanted)}, expected a pattern by field"
        return
    for field, pattern in _parts(wanted).items():
        yield from _text(f"the pattern of {field[:80]} in {MUST_MATCH}", pattern)
        try:
            regex.compile(str(pattern.value))
        except regex.error as error:
            yield pattern, f"the pattern of {field[:80]} in {MUST_MATCH} can't be used: {error}"


def _mappings(what: str, node: yaml.Node, expected: str) -> Generator[Fault, None, list[yaml.MappingNode]]:
    """The mappings of a list that isn't empty, returned; null is none, and what is no such list is a fault."""
    if _is_null(node) or _is_code(node):
        return []
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        yield node, f"{what} is {_shown(node)}, expected {expected}"
        return []
    for one in node.value:
        if not isinstance(one, yaml.MappingNode):
            yield one, f"an item of {what} is {_shown(one)}, expected a mapping"
    return [one for one in node.value if isinstance(one, yaml.MappingNode)]


def _text(what: str, node: yaml.Node) -> Iterator[Fault]:
    if node.tag != f"{_TAG}str":
        hint = "; put it in quotes" if isinstance(node, yaml.ScalarNode) and not _is_null(node) else ""
        yield node, f"{what} is {_shown(node)}, expected a text{hint}"


def _one_of(what: str, node: yaml.Node, known: Collection[str] | Mapping[str, object]) -> Iterator[Fault]:
    if node.tag != f"{_TAG}str" or node.value not in known:
        near = did_you_mean(str(node.value)[:80], known) if isinstance(node, yaml.ScalarNode) else ""
        yield node, f"{what} is {_shown(node)}, expected one of {', '.join(sorted(known))}{near}"


def _parts(node: yaml.Node) -> dict[str, yaml.Node]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return {key.value: value for key, value in pairs if isinstance(key, yaml.ScalarNode)}


def _is_code(node: yaml.Node) -> bool:
    return bool(node.tag == _FUNCTION)


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == f"{_TAG}null")


def _shown(node: yaml.Node) -> str:
    """A value as it is written, in a few words."""
    if isinstance(node, yaml.ScalarNode):
        return "null" if _is_null(node) else str(node.value)[:80] or "an empty text"
    kind = "mapping" if isinstance(node, yaml.MappingNode) else "list"
    return f"a {kind}" if node.value else f"an empty {kind}"


_SHAPES: Mapping[str, _Shape] = {
    "task": _name,
    "group": _name,
    "tag": _tags,
    "output_type": _output_type,
    "metric_list": _metric_list,
    "filter_list": _filter_list,
    "fewshot_config": _fewshot_config,
    "metadata": _metadata,
}
