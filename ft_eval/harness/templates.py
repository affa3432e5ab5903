"""The work-around for lm-eval's templates: a task file's Jinja runs in a sandbox, within bounds of size and time.

lm-eval 0.4.13 renders `doc_to_text` and its like in a plain environment: a template may call what it finds
(`cycler.__init__.__globals__.os.popen(…)`) or make a gigabyte of `'a' * 10**9`. `bound_templates` puts another
environment in its place: jinja2's sandbox, no macros and no inclusion, 100,000 steps of all loops together, texts of at
most 4 MB, five seconds a rendering. What a template prints stays the same. Knows no task and no document.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from functools import lru_cache, wraps
from itertools import islice
from threading import local
from typing import Any

import lm_eval.utils
from jinja2 import StrictUndefined, Template, nodes
from jinja2.exceptions import SecurityError, TemplateError, TemplateRuntimeError, TemplateSyntaxError, UndefinedError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from ft_eval.errors import TaskError
from ft_eval.harness import template_bounds as bounds

MAX_SECONDS = 5.0
_MAX_DEPTH = 60
_Absent = type("Absent", (StrictUndefined,), {"__repr__": StrictUndefined.__str__})
"""A field that a document lacks; in a list, too, it is an error and no text."""
_REFUSED = (nodes.Macro, nodes.CallBlock, nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block)
RAISED = (TemplateError, ValueError, SyntaxError, TypeError, LookupError, AttributeError)
"""What templates and functions of task files raise over a document that is not what they expect."""
_spent = local()
"""Of the rendering at hand: `deadline` and `num_steps`."""


def bound_templates() -> None:
    """Let lm-eval render every template here from now on. Again is fine."""
    if not isinstance(lm_eval.utils.env, BoundedEnvironment):
        filters = dict(lm_eval.utils.env.filters)
        lm_eval.utils.env = BoundedEnvironment(undefined=_Absent, keep_trailing_newline=True)
        lm_eval.utils.env.filters.update(_bounded_filters(filters))


@contextmanager
def template_faults(task: str) -> Iterator[None]:
    """Within this context what a task's template raises is a TaskError that names the task."""
    try:
        yield
    except TemplateError as error:
        raise TaskError(f"task {task}: a template can't be rendered: {' '.join(str(error).split())[:300]}") from error


def names_what_is_absent(error: BaseException) -> bool:
    """Whether a template has read a field that its document lacks."""
    return isinstance(error, UndefinedError)


class BoundedTemplate(Template):
    """A template whose rendering is on the clock."""

    def render(self, *args: Any, **kwargs: Any) -> str:
        """Render it.

        Raises:
            TemplateError: a bound is passed, or the template does what can't be done, such as a division by nothing.
        """
        _spent.deadline, _spent.num_steps = time.monotonic() + MAX_SECONDS, 0
        try:
            return super().render(*args, **kwargs)
        except TemplateError:
            raise
        except Exception as error:  # whatever its operators and calls raise
            raise TemplateRuntimeError(f"{type(error).__name__}: {error}") from error
        finally:
            _spent.deadline = float("inf")


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, where no text grows beyond `MAX_CHARACTERS` and no rendering takes longer than `MAX_SECONDS`.

    Raises:
        SecurityError: while rendering, when a template goes beyond a bound or reaches for what is private.
        TemplateSyntaxError: while compiling, for a macro or an inclusion.
    """

    template_class = BoundedTemplate

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.filters |= {"_concat": _join, "_steps": _steps}
        self.globals["range"] = _range
        self.globals.pop("lipsum")
        self._compiled = lru_cache(maxsize=512)(super().from_string)

    def from_string(self, source: Any, *_: Any, **__: Any) -> Any:
        """The template, compiled once: lm-eval asks anew for every document."""
        try:
            return self._compiled(source)
        except TemplateError:
            raise
        except Exception as error:  # nested too deep for jinja2's parser or for Python's
            raise TemplateRuntimeError(f"can't be compiled: {type(error).__name__}: {error}") from error

    def make_globals(self, d: Any) -> Any:
        """What a template knows beside its document, as one dict: each rendering copies it, and chained ones slowly."""
        return {**self.globals, **(d or {})}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _refuse(tree)
        checked: nodes.Template = _Hooks().visit(tree)
        return checked

    @staticmethod
    def concat(pieces: Iterable[str]) -> str:
        """Join what a template prints; jinja2 renders and buffers through it."""
        return _join(pieces)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator of the template, its result bounded before it is made."""
        _tick()
        if operator == "*":
            bounds.check_product(left, right)
        elif operator == "**":
            bounds.check_number(right, bounds.MAX_POWER)
        elif operator == "%":
            bounds.check_widths(left)
        return bounds.bounded(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063 - jinja2's signature
        """A call of the template's, bounded before it is made."""
        _tick()
        args = bounds.checked_call(__obj, args, kwargs)
        return bounds.bounded(super().call(__context, __obj, *args, **kwargs))


class _Hooks(NodeTransformer):
    """Makes `a ~ b` and the start of a loop go through filters of ours: jinja2 has no hook for them."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - jinja2's name
        """One concatenation."""
        self.generic_visit(node)
        return _filter("_concat", nodes.List(node.nodes, lineno=node.lineno))

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - jinja2's name
        """One loop."""
        self.generic_visit(node)
        iterable: Any = node.iter
        node.iter = _filter("_steps", iterable)
        return node


def _filter(name: str, value: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, [], [], None, None, lineno=value.lineno)


def _refuse(node: nodes.Node, depth: int = 0) -> None:
    if depth > _MAX_DEPTH:  # the time to compile it grows out of all proportion
        raise TemplateSyntaxError(f"nested more than {_MAX_DEPTH} deep", getattr(node, "lineno", 1))
    if isinstance(node, _REFUSED) or getattr(node, "recursive", False):
        raise TemplateSyntaxError(f"{type(node).__name__.lower()} is not for a task's template", node.lineno)
    for child in node.iter_child_nodes():
        _refuse(child, depth + 1)


def _bounded_filters(filters: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    return {name: _bounded_filter(name, function) for name, function in filters.items()}


def _bounded_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose arguments are looked at before, and whose text after; jinja2's marks on it stay."""

    @wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        _tick()
        return bounds.bounded(function(*bounds.checked_filter(name, args, kwargs), **kwargs))

    return bounded


def _join(pieces: Iterable[Any]) -> str:
    texts, total = [], 0
    for piece in pieces:
        texts.append(str(piece))
        total += len(texts[-1])
        bounds.check_size(total)
        _tick()
    return "".join(texts)


def _steps(items: Any) -> Any:
    """What a loop goes over, its steps counted."""
    known = items if isinstance(items, Sized) else list(islice(items, bounds.MAX_STEPS + 1))
    _spent.num_steps = getattr(_spent, "num_steps", 0) + len(known)
    if _spent.num_steps > bounds.MAX_STEPS:
        raise SecurityError(f"the loops of a template may have {bounds.MAX_STEPS} steps in all")
    return known


def _range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > bounds.MAX_STEPS:
        raise SecurityError(f"a range may have {bounds.MAX_STEPS} numbers at most")
    return numbers


def _tick() -> None:
    """Raise SecurityError when the rendering at hand has taken too long."""
    if time.monotonic() > getattr(_spent, "deadline", float("inf")):
        raise SecurityError(f"a template may render for {MAX_SECONDS:g} seconds at most")
