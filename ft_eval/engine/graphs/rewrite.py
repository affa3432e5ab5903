"""The traced step with fused operators in place of PyTorch's single ones. The same function, with fewer kernels.

    mask, SDPA over the cache          ▷  ft::decode_attention   (where the flash kernel is to be used)
    sigmoid, lerp of two attentions    ▷  ft::merge_lse
    RoPE of q and k, write to cache    ▷  ft::rope_kv_write
    silu(gate) · up                    ▷  ft::silu_mul
    norms, residual adds, W[z]         ▷  see residuals.py

It runs before AOTAutograd, so the writes to the cache are still writes in place. What doesn't match stays as it is.
"""

import operator
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.nn import functional as F

from ft_eval.engine.graphs.matching import (
    EVERYTHING,
    as_node,
    calls,
    example,
    is_add,
    is_product,
    item,
    positions,
    remove_dead,
    shape,
    transposed,
)
from ft_eval.engine.graphs.residuals import fuse_dual_norms, fuse_norms, fuse_residual_linears

_FT: Any = torch.ops.ft
_ATEN: Any = torch.ops.aten
_SDPA = torch._C._nn.scaled_dot_product_attention  # noqa: SLF001 — what F.scaled_dot_product_attention is traced as
_PAD = torch._C._nn.pad  # noqa: SLF001 — what F.pad is traced as
_WITH_LSE = (
    _ATEN._scaled_dot_product_flash_attention_for_cpu,  # noqa: SLF001 — what our attention calls
    _ATEN._scaled_dot_product_efficient_attention,  # noqa: SLF001 — as above
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusions:
    """What is rewritten besides what always is."""

    lengths: bool = False
    """Attention over the cache by the lengths of its rows instead of a mask."""
    num_splits: int = 0
    """With lengths: see `flash.decode_attention`."""
    residual_in_gemm: bool = False
    """Every residual add goes into the matrix product before it, and none into the norm after it. One rounding less in
    16 bits, so other last bits than eager; else only adds that no norm takes go that way."""


def rewrite(gm: GraphModule, fusions: Fusions) -> GraphModule:
    """The module, its graph rewritten in place."""
    if fusions.lengths:
        _fuse_attention(gm, fusions.num_splits)
    _fuse_merges(gm)
    _fuse_rope_writes(gm)
    _fuse_swiglus(gm)
    fuse_dual_norms(gm.graph)
    if fusions.residual_in_gemm:
        fuse_residual_linears(gm.graph)
    fuse_norms(gm.graph)
    fuse_residual_linears(gm.graph)
    remove_dead(gm.graph)
    gm.graph.lint()
    gm.recompile()
    return gm


def count_operators(gm: GraphModule) -> Counter[str]:
    """How often each fused operator, and addmm_, is called."""
    names: Counter[str] = Counter()
    for node in gm.graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload) and node.target.namespace == "ft":  # noqa: SLF001 — the type of an operator
            names[node.target._opname] += 1  # noqa: SLF001 — as above
        elif calls(node, "addmm_"):
            names["addmm_"] += 1
    return names


def _fuse_attention(gm: GraphModule, num_splits: int) -> None:
    for node in list(gm.graph.nodes):
        if calls(node, _SDPA) and set(node.kwargs) == {"attn_mask"}:
            mask = _decode_mask(node.kwargs["attn_mask"])
        elif calls(node, *_WITH_LSE) and all(user.args[1] in (0, 1) for user in node.users):
            mask = _decode_mask(node.kwargs.get("attn_mask") or (node.args[3:4] or (None,))[0])
        else:
            continue
        caches = [_whole_cache(part, mask) for part in node.args[1:3]]
        if mask is None or None in caches:
            continue
        with gm.graph.inserting_before(node):
            lengths = _lengths(gm, mask, shape(caches[0])[1])
            arguments = (node.args[0], *caches, lengths, mask.args[2], num_splits)
            found = gm.graph.call_function(_FT.decode_attention.default, arguments)
            if calls(node, _SDPA):
                found = gm.graph.call_function(operator.getitem, (found, 0))
        node.replace_all_uses_with(found)


def _decode_mask(node: Any) -> Node | None:
    """The marker behind a mask: expanding, padding and cutting only lay it out."""
    while calls(node, "expand", F.pad, _PAD, operator.getitem):
        node = node.args[0]
    return node if calls(node, _FT.decode_mask, _FT.decode_mask.default) else None


def _whole_cache(part: Any, mask: Node | None) -> Node | None:
    """The cache of which the mask's keys are a part."""
    return None if mask is None else item(part, (EVERYTHING, EVERYTHING, slice(None, mask.args[2], None)))


def _lengths(gm: GraphModule, mask: Node, num_kv_heads: int) -> Node:
    """The node that says how many keys count, one for all blocks with this mask."""
    tokens, start = mask.args[:2]
    for user in mask.args[0].users if isinstance(tokens, Node) and isinstance(mask.args[0], Node) else ():
        if calls(user, _FT.key_lengths.default) and user.args == (tokens, start, num_kv_heads):
            return user
    with gm.graph.inserting_before(mask):
        return gm.graph.call_function(_FT.key_lengths.default, (tokens, start, num_kv_heads))


def _fuse_merges(gm: GraphModule) -> None:
    for node in list(gm.graph.nodes):
        if not (calls(node, "to") and calls(lerp := node.args[0], torch.lerp) and len(lerp.users) == 1):
            continue
        far, near = (as_node(a.args[0]) if calls(a, "float") else None for a in lerp.args[:2])
        sigmoid = item(lerp.args[2], (Ellipsis, None))
        if far is None or near is None or not calls(sigmoid, torch.sigmoid):
            continue
        difference = sigmoid.args[0] if sigmoid else None
        fits = example(far) is not None and node.args[1:] == (example(far).dtype,)  # type: ignore[union-attr] # not None
        if not (fits and calls(difference, operator.sub)):
            continue
        near_lse, far_lse = difference.args  # type: ignore[union-attr] # it calls sub
        if not shape(far)[:-1] == shape(far_lse) == shape(near_lse) == shape(near)[:-1]:
            continue
        with gm.graph.inserting_before(node):
            merged = gm.graph.call_function(_FT.merge_lse.default, (far, far_lse, near, near_lse))
        node.replace_all_uses_with(merged)


def _fuse_swiglus(gm: GraphModule) -> None:
    for node in list(gm.graph.nodes):
        if not (is_product(node) and calls(node.args[0], F.silu) and shape(node.args[0]) == shape(node.args[1])):
            continue
        silu, up = node.args
        if silu.kwargs.get("inplace") or len(silu.args) > 1:
            continue
        with gm.graph.inserting_before(node):
            fused = gm.graph.call_function(_FT.silu_mul.default, (silu.args[0], up))
        node.replace_all_uses_with(fused)


@dataclass(frozen=True, slots=True)
class _Turn:
    """A rotation: `turned` is `heads`, (B, T, heads, d), transposed and turned by cos and sin."""

    turned: Node
    heads: Node
    cos: Node
    sin: Node


def _turn(node: Any) -> _Turn | None:
    """The parts of x · cos + cat(−second half, first half) · sin, or None."""
    if not (is_add(node) and all(is_product(part) for part in node.args)):
        return None
    (x, cos), (swapped, sin) = node.args[0].args, node.args[1].args
    heads = transposed(x)
    if heads is None or not calls(swapped, torch.cat) or swapped.kwargs != {"dim": -1} or len(swapped.args[0]) != 2:
        return None
    negated, first = swapped.args[0]
    halves = item(first, 0)
    second = negated.args[0] if calls(negated, operator.neg) else None
    if halves is None or item(second, 1) is not halves or not calls(halves, "chunk"):
        return None
    if halves.args != (x, 2) or halves.kwargs != {"dim": -1}:
        return None
    return _Turn(turned=node, heads=heads, cos=cos, sin=sin)


def _fuse_rope_writes(gm: GraphModule) -> None:
    turns = [turn for turn in map(_turn, gm.graph.nodes) if turn is not None]
    by_node = {turn.turned: turn for turn in turns}
    writes = [node for node in gm.graph.nodes if calls(node, operator.setitem)]
    for keys_write, values_write in pairwise(writes):
        k = by_node.get(transposed(keys_write.args[2]))  # type: ignore[arg-type] # None is no key
        v = transposed(transposed(values_write.args[2]))
        if k is None or v is None or not _is_one_write(keys_write, values_write, shape(k.heads)):
            continue
        order = positions(gm.graph)
        q = _queries(turns, k, order, order[values_write])
        between = range(order[keys_write] + 1, order[values_write])
        if q is None or any(order[user] in between for user in keys_write.args[0].users):
            continue
        indices = keys_write.args[1][2]
        caches = (keys_write.args[0], values_write.args[0])
        with gm.graph.inserting_before(values_write):
            tensors = (q.heads, k.heads, v, k.cos, k.sin, indices, *caches)
            turned = gm.graph.call_function(_FT.rope_kv_write.default, tensors)
        q.turned.replace_all_uses_with(turned)
        gm.graph.erase_node(keys_write)
        gm.graph.erase_node(values_write)


def _is_one_write(keys_write: Node, values_write: Node, heads: tuple[int, ...]) -> bool:
    """Whether both write each row's tokens (B, T, G, d) of all heads at the same places."""
    place, other = keys_write.args[1], values_write.args[1]
    if not (isinstance(place, tuple) and len(place) == 3 and place == other and place[1] == EVERYTHING):
        return False
    rows, caches = item(place[0], (EVERYTHING, None)), (keys_write.args[0], values_write.args[0])
    fits = all(shape(cache)[:2] == (heads[0], heads[2]) for cache in caches)
    return fits and shape(place[2]) == heads[:2] and calls(rows, torch.arange) and rows.args == (heads[0],)  # type: ignore[union-attr] # it calls arange


def _queries(turns: list[_Turn], k: _Turn, order: dict[Node, int], write: int) -> _Turn | None:
    """The rotation nearest before k's by the same angles, if all that reads it comes after the write."""
    nearest = None
    for turn in turns:
        if (turn.cos, turn.sin) == (k.cos, k.sin) and order.get(turn.turned, write) < order[k.turned]:
            nearest = turn
    if nearest is None or any(order[user] <= write for user in nearest.turned.users) or not nearest.turned.users:
        return None
    return nearest
