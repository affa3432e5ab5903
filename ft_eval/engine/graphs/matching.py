"""Questions about the nodes of an FX graph as Dynamo traces it: PyTorch's own calls, before any decomposition.

A pattern that asks and gets another answer leaves the graph as it is. Knows no model.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node

EVERYTHING = slice(None, None, None)
_ADDS = (operator.add, torch.add)
_MULS = (operator.mul, torch.mul)


def calls(node: Any, *targets: Callable[..., Any] | str) -> bool:
    """Whether a node calls one of these functions, or a tensor's method of that name."""
    return isinstance(node, Node) and node.op in ("call_function", "call_method") and node.target in targets


def is_add(node: Any) -> bool:
    """Whether it is the sum of two tensors of one shape and type."""
    return calls(node, *_ADDS) and len(node.args) == 2 and not node.kwargs and _alike(*node.args)


def is_product(node: Any) -> bool:
    """Whether it is a product of two nodes."""
    return calls(node, *_MULS) and len(node.args) == 2 and all(isinstance(a, Node) for a in node.args)


def item(node: Any, key: Any) -> Node | None:
    """What is indexed with that key, or None."""
    if calls(node, operator.getitem) and _same(node.args[1], key):
        return as_node(node.args[0])
    return None


def as_node(value: Any) -> Node | None:
    """The value if it is a node."""
    return value if isinstance(value, Node) else None


def transposed(node: Any) -> Node | None:
    """What is transposed in dimensions 1 and 2, or None."""
    return as_node(node.args[0]) if calls(node, "transpose") and node.args[1:] == (1, 2) else None


def example(node: Any) -> Tensor | None:
    """The tensor that stood for the node while it was traced: its shape and type."""
    value = node.meta.get("example_value") if isinstance(node, Node) else None
    return value if isinstance(value, Tensor) else None


def shape(node: Any) -> tuple[int, ...]:
    """The node's shape; () where it isn't known."""
    value = example(node)
    return () if value is None else tuple(value.shape)


def positions(graph: Graph) -> dict[Node, int]:
    """Where each node stands in the order of execution."""
    return {node: index for index, node in enumerate(graph.nodes)}


def remove_dead(graph: Graph) -> None:
    """Take out what nobody reads and what writes to nothing."""
    graph.eliminate_dead_code(is_impure_node=_writes)


def _writes(node: Node) -> bool:
    if node.op in ("placeholder", "output") or calls(node, operator.setitem):
        return True
    if node.op == "call_method":
        return str(node.target).endswith("_")
    schema = getattr(node.target, "_schema", None)
    return node.op != "call_function" or (schema is not None and bool(schema.is_mutable))


def _alike(a: Any, b: Any) -> bool:
    one, other = example(a), example(b)
    return one is not None and other is not None and (one.shape, one.dtype) == (other.shape, other.dtype)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Node) or isinstance(b, Node):
        return a is b
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and bool(a == b)
