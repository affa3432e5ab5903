"""Softmax attention, whole or in two parts: over keys that many rows share, read in place, and over a row's own.

    B rows    T queries    S keys    P prefix keys    N query heads    G key-value heads    d head dimension

Both parts come from PyTorch's own kernels with their log-sum-exp, which says how much weight each part has:

    softmax over [prefix; own] = w · own + (1 - w) · prefix,    w = sigmoid(lse_own - lse_prefix)

The heads that share keys become further queries of one head: no kernel need know GQA and a mask at once, and each key
is read once. Knows no model and no position.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ft_eval.model.cache import LayerCache


def attend(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None, is_causal: bool) -> Tensor:
    """Attention of q (B, N, T, d) over k, v (B, G, S, d), to (B, N, T, d).

    A mask (B or 1, 1, 1 or N/G · T, S) is added to the scores; is_causal, without a mask: query t sees keys s <= t.
    """
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=is_causal, enable_gqa=q.shape[1] != k.shape[1])
    folded = fold_heads(q, k.shape[1])
    mask = mask.expand(-1, -1, folded.shape[2], -1)
    return F.scaled_dot_product_attention(folded, k, v, attn_mask=mask).view(q.shape)


def attend_behind(prefix: LayerCache, q: Tensor, own: LayerCache, mask: Tensor | None) -> Tensor:
    """Attention of q (B, N, T, d) over [prefix; own], to (B, N, T, d); every query sees the whole prefix.

    Args:
        prefix: (B, G, P, d), or (1, G, P, d) where all rows share it.
        q: queries.
        own: (B, G, S, d).
        mask: added to the scores of the own keys, (B or 1, 1, 1 or N/G · T, S). Each query sees one of them at least.
    """
    num_rows, num_groups = q.shape[0], own.keys.shape[1]
    folded = fold_heads(q, num_groups)  # (B, G, N/G · T, d)
    if mask is not None:
        mask = mask.expand(num_rows, -1, folded.shape[2], -1)
    near, near_lse = _attend_with_lse(folded, own.keys, own.values, mask)
    if prefix.keys.shape[0] == num_rows:
        far, far_lse = _attend_with_lse(folded, prefix.keys, prefix.values, None)
    else:  # the rows, too, become queries of one row
        joined = folded.transpose(0, 1).reshape(1, num_groups, -1, q.shape[3])
        far, far_lse = _attend_with_lse(joined, prefix.keys, prefix.values, None)
        far = far.view(num_groups, num_rows, -1, q.shape[3]).transpose(0, 1)
        far_lse = far_lse.view(num_groups, num_rows, -1).transpose(0, 1)
    share = torch.sigmoid(near_lse - far_lse)[..., None]
    return torch.lerp(far.float(), near.float(), share).to(q.dtype).reshape(q.shape)


def fold_heads(q: Tensor, num_groups: int) -> Tensor:
    """Queries (B, N, T, d) as (B, G, N/G · T, d): one key-value head's query heads follow each other."""
    return q.reshape(q.shape[0], num_groups, -1, q.shape[3])


def _attend_with_lse(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Attention of q (B, G, M, d) over k, v (B, G, S, d): (B, G, M, d) and the log-sum-exp, (B, G, M) in fp32."""
    aten: Any = torch.ops.aten  # underscored, but the only ones that return the log-sum-exp
    if q.device.type == "cpu":
        out, lse = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, attn_mask=mask)  # noqa: SLF001 — as above
    elif mask is None and q.dtype != torch.float32:
        out, lse, *_ = aten._scaled_dot_product_flash_attention(q, k, v)  # noqa: SLF001 — as above
    else:
        bias = None if mask is None else _aligned(mask.expand(-1, q.shape[1], -1, -1))
        out, lse, *_ = aten._scaled_dot_product_efficient_attention(q, k, v, bias, True)  # noqa: FBT003, SLF001 — as above
    return out, lse[..., : q.shape[2]]


def _aligned(bias: Tensor) -> Tensor:
    """The same values with rows of a multiple of 8 numbers apart, as the memory-efficient kernel wants them."""
    num_keys = bias.shape[-1]
    return F.pad(bias, (0, -num_keys % 8))[..., :num_keys]
