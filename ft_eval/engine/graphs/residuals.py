"""The residual stream of a traced step by fused operators: its adds, the norms behind them, and the middle block's R.

add, rms_norm                        ▷  ft::add_rms_norm
gather of W[z], add, two rms_norms   ▷  ft::free_dual_norm
linear, add                          ▷  addmm_ onto the residual stream, where nothing reads that any more
"""

import operator
from typing import Any

import torch
from torch.fx import Graph, Node
from torch.nn import functional as F

from ft_eval.engine.graphs.matching import as_node, calls, is_add, item, positions, shape
from ft_eval.model.latent import NO_CODE

_FT: Any = torch.ops.ft
_LINEAR = torch._C._nn.linear  # noqa: SLF001 — what F.linear is traced as


def fuse_norms(graph: Graph) -> None:
    """A norm and the residual add before it become one operator."""
    for norm in list(graph.nodes):
        add = _normed_input(norm)
        if add is None or not is_add(add):
            continue
        order = positions(graph)
        weight = norm.args[2]
        if order[weight] > order[add]:
            continue
        with graph.inserting_before(add):
            fused = graph.call_function(_FT.add_rms_norm.default, (*add.args, weight, norm.args[3]))
            parts = [graph.call_function(operator.getitem, (fused, index)) for index in range(2)]
        for part, node in zip(parts, (add, norm), strict=True):
            part.meta.update(node.meta)
            node.replace_all_uses_with(part)
        graph.erase_node(norm)
        graph.erase_node(add)


def fuse_dual_norms(graph: Graph) -> None:
    """The norms of x and of x + W[z] become one operator."""
    for kv_norm in list(graph.nodes):
        add = _normed_input(kv_norm)
        if add is None or not is_add(add) or list(add.users) != [kv_norm]:
            continue
        x, gathered = as_node(add.args[0]), _gathered(add.args[1])
        assert x is not None, "the sum of two nodes"
        norm = next((user for user in x.users if user.args[1:] == kv_norm.args[1:] and _normed_input(user) is x), None)
        if gathered is None or norm is None:
            continue
        order = positions(graph)
        first = min(norm, kv_norm, key=order.__getitem__)
        inputs: tuple[Any, ...] = (x, *gathered, kv_norm.args[2])
        if any(order[node] >= order[first] for node in inputs):
            continue
        with graph.inserting_before(first):
            fused = graph.call_function(_FT.free_dual_norm.default, (*inputs, kv_norm.args[3]))
            parts = [graph.call_function(operator.getitem, (fused, index)) for index in range(2)]
        for part, node in zip(parts, (norm, kv_norm), strict=True):
            part.meta.update(node.meta)
            node.replace_all_uses_with(part)
        for node in (norm, kv_norm, add):
            graph.erase_node(node)


def fuse_residual_linears(graph: Graph) -> None:
    """A sum x + linear(a) becomes x.addmm_(a, W^T), where x is the step's own and is read by nothing later."""
    for add in list(graph.nodes):
        if not is_add(add) or not _is_plain_linear(linear := add.args[1]) or list(linear.users) != [add]:
            continue
        x = add.args[0]
        if not _is_last_use(x, add, positions(graph)):
            continue
        with graph.inserting_before(add):
            flat, factor = (graph.call_method("flatten", (node, 0, -2)) for node in (x, linear.args[0]))
            weight = graph.call_method("t", (linear.args[1],))
            total = graph.call_method("addmm_", (flat, factor, weight))
            out = graph.call_method("reshape", (total, *shape(add)))
        out.meta.update(add.meta)
        add.replace_all_uses_with(out)
        graph.erase_node(add)


def _normed_input(node: Any) -> Node | None:
    """What an RMSNorm over the last dimension, with a weight, is applied to; None for any other node."""
    if not (calls(node, torch.rms_norm, F.rms_norm) and len(node.args) == 4 and not node.kwargs):
        return None
    x, normed_shape, weight, eps = node.args
    fits = isinstance(weight, Node) and shape(weight) == tuple(normed_shape) and len(shape(weight)) == 1
    return as_node(x) if fits and isinstance(eps, float) else None


def _gathered(node: Any) -> tuple[Node, Node] | None:
    """Codes and table of `embedding(codes.clamp_min(0), table).masked_fill((codes == −1)[..., None], 0)`, or None."""
    if not (calls(node, "masked_fill") and len(node.args) == 3 and node.args[2] == 0.0):
        return None
    embedding, off = node.args[0], item(node.args[1], (Ellipsis, None))
    if not (calls(embedding, F.embedding) and len(embedding.args) == 2 and not embedding.kwargs):
        return None
    clamped, table = embedding.args
    if not (calls(clamped, "clamp_min") and clamped.args[1:] == (0,) and calls(off, operator.eq)):
        return None
    codes = clamped.args[0]
    return (codes, table) if off is not None and off.args == (codes, NO_CODE) else None


def _is_plain_linear(node: Any) -> bool:
    """Whether it is a linear map without a bias."""
    return (
        calls(node, _LINEAR, F.linear)
        and len(node.args) >= 2
        and all(b is None for b in node.args[2:])
        and not node.kwargs
    )


def _is_last_use(x: Any, add: Node, order: dict[Node, int]) -> bool:
    """Whether x has memory of its own, and whatever else reads it does so before, and keeps no view of it."""
    if not _owns_memory(x):
        return False
    others = [user for user in x.users if user is not add]
    return all(
        order[user] < order[add] and (_normed_input(user) is not None or calls(user, _FT.free_dual_norm.default))
        for user in others
    )


def _owns_memory(x: Any) -> bool:
    """Whether x is a result, or an earlier sum of this kind, and no view of what was given to the step."""
    if calls(x, "reshape"):
        return calls(x.args[0], "addmm_")
    if calls(x, operator.getitem):
        return calls(x.args[0], _FT.add_rms_norm.default)
    return is_add(x) or calls(x, F.embedding)
