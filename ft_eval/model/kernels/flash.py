"""Attention of one query per row over a cache whose rows are filled to different lengths, without a mask.

PyTorch's flash kernel for rows of unequal length takes how many keys of each row count (`seqused_k`) as a tensor on
the device, so that a step can be captured in a CUDA graph. The cache lies as (B, G, S, d): every key-value head of
every row is a sequence of its own with one head, and its N/G queries are the heads that share it. Where that kernel is
missing, or doesn't agree with plain attention, or the numbers are not of 16 bits, a mask does the same.

    B rows    S cache positions    N query heads    G key-value heads    M = N / G    d head dimension
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from ft_eval.model.attention import _attend_with_lse
from ft_eval.model.plans import additive

_FLASH_DTYPES = (torch.float16, torch.bfloat16)
_PROBE_TOLERANCE = 3e-2
"""Of outputs about 1 in size, in 16 bits."""


def key_lengths(positions: Tensor, start: int, num_kv_heads: int) -> Tensor:
    """How many of the cache's keys each key-value head's queries see, (B · G,) int32, from positions (B, 1) int64."""
    lengths = (positions + (1 - start)).to(torch.int32)
    return lengths.expand(-1, num_kv_heads).reshape(-1)


def decode_attention(
    q: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, num_keys: int, num_splits: int = 0
) -> tuple[Tensor, Tensor]:
    """Attention over the first keys of each row: (B, G, M, d), and its log-sum-exp, (B, G, M) in fp32.

    Args:
        q: (B, G, M, d).
        keys: (B, G, S, d).
        values: (B, G, S, d).
        lengths: from `key_lengths`, at least 1 and at most num_keys each.
        num_keys: at most S.
        num_splits: into how many parts the kernel cuts the keys; 0 leaves it to the kernel. 1 makes the order of the
            sum the same whatever else is in the batch. Only where the kernel has the option.
    """
    if q.is_cuda and flash_works(q.dtype, q.device):
        return _flash(q, keys, values, lengths, num_splits)
    return masked_attention(q, keys, values, lengths, num_keys)


def masked_attention(q: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, num_keys: int) -> tuple[Tensor, Tensor]:
    """The same by a mask; any device and any type."""
    num_rows, num_groups, num_queries = q.shape[:3]
    seen = torch.arange(num_keys, device=q.device) < lengths.view(num_rows, num_groups)[:, :1, None, None]
    mask = additive(seen, q.dtype).expand(-1, -1, num_queries, -1)
    return _attend_with_lse(q, keys[:, :, :num_keys], values[:, :, :num_keys], mask)


def _flash(q: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, num_splits: int) -> tuple[Tensor, Tensor]:
    num_rows, num_groups, num_queries, head_dim = q.shape
    num_sequences, capacity = num_rows * num_groups, keys.shape[2]
    options: dict[str, Any] = {"num_splits": num_splits} if num_splits and "num_splits" in _flash_arguments() else {}
    aten: Any = torch.ops.aten
    out, lse, *_ = aten._flash_attention_forward(  # noqa: SLF001 — the only one that takes seqused_k
        q.reshape(num_sequences, num_queries, head_dim),
        keys.reshape(-1, 1, head_dim),
        values.reshape(-1, 1, head_dim),
        _offsets(num_sequences, 1, q.device),
        _offsets(num_sequences, capacity, q.device),
        1,
        capacity,
        0.0,
        False,  # noqa: FBT003 — is_causal, by place
        False,  # noqa: FBT003 — return_debug_mask
        seqused_k=lengths,
        **options,
    )
    return out.view(q.shape), lse.t().reshape(num_rows, num_groups, num_queries)


@cache
def _offsets(num_sequences: int, length: int, device: torch.device) -> Tensor:
    """Where each sequence begins, (num_sequences + 1,) int32. Kept: captured graphs read it where it lies."""
    with torch.inference_mode():
        return torch.arange(num_sequences + 1, dtype=torch.int32, device=device) * length


@cache
def _flash_arguments() -> frozenset[str]:
    aten: Any = torch.ops.aten
    if not hasattr(aten, "_flash_attention_forward"):
        return frozenset()
    return frozenset(argument.name for argument in aten._flash_attention_forward.default._schema.arguments)  # noqa: SLF001 — says what this PyTorch has


def flash_has(argument: str) -> bool:
    """Whether this PyTorch's flash operator takes that argument: `seqused_k`, `num_splits`."""
    return argument in _flash_arguments()


@cache
def flash_works(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the flash kernel can be used: it takes seqused_k and agrees with a mask on a small case, tried once.

    Must be asked before a capture: the trial waits for the device.
    """
    if device.type != "cuda" or dtype not in _FLASH_DTYPES or not flash_has("seqused_k"):
        return False
    generator = torch.Generator(device=device).manual_seed(0)
    q = torch.randn(3, 2, 4, 64, dtype=dtype, device=device, generator=generator)
    keys, values = torch.randn(2, 3, 2, 384, 64, dtype=dtype, device=device, generator=generator)
    lengths = torch.tensor([1, 130, 300], dtype=torch.int32, device=device).repeat_interleave(2)
    expected = masked_attention(q.float(), keys.float(), values.float(), lengths, 384)
    try:
        found = _flash(q, keys, values, lengths, 0)
    except RuntimeError:
        return False  # built without flash attention, or not for this device
    return all(bool(((a.float() - b).abs() <= _PROBE_TOLERANCE).all()) for a, b in zip(found, expected, strict=True))
