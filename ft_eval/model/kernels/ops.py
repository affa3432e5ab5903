"""The fused operators as `torch.ops.ft.*`: plain PyTorch anywhere, kernels on CUDA. Importing this defines them.

    add_rms_norm      residual add and RMSNorm
    free_dual_norm    the middle block's two norms, with the gather of R
    rope_kv_write     RoPE on queries and keys, with the write to the cache
    silu_mul          silu(gate) · up
    merge_lse         two parts of one attention
    philox_codes      Z from the prior
    decode_mask       what a step's queries see; marks it so that a rewrite can know it
    key_lengths, decode_attention      the same without a mask, see `flash.py`

They have no gradients. A type of numbers without kernels runs in plain PyTorch.
"""

from ctypes import c_float, c_int, c_longlong
from typing import Any

import torch
from torch import Tensor

from ft_eval.model.kernels import driver, flash, plain
from ft_eval.model.kernels.source import DTYPES, THREADS

_SCHEMAS = {
    "add_rms_norm": "(Tensor x, Tensor y, Tensor weight, float eps) -> (Tensor, Tensor)",
    "free_dual_norm": "(Tensor x, Tensor codes, Tensor table, Tensor weight, float eps) -> (Tensor, Tensor)",
    "rope_kv_write": "(Tensor q, Tensor k, Tensor v, Tensor cos, Tensor sin, Tensor indices, Tensor(a!) keys, "
    "Tensor(b!) values) -> Tensor",
    "silu_mul": "(Tensor gate, Tensor up) -> Tensor",
    "merge_lse": "(Tensor far, Tensor far_lse, Tensor near, Tensor near_lse) -> Tensor",
    "philox_codes": "(Tensor keys, Tensor draws, int first, int count, int num_bits) -> Tensor",
    "decode_mask": "(Tensor positions, int start, int num_keys, ScalarType dtype) -> Tensor",
    "key_lengths": "(Tensor positions, int start, int num_kv_heads) -> Tensor",
    "decode_attention": "(Tensor q, Tensor keys, Tensor values, Tensor lengths, int num_keys, int num_splits) "
    "-> (Tensor, Tensor)",
}


def _add_rms_norm(x: Tensor, y: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    if not _fits(x, y, weight):
        return plain.add_rms_norm(x, y, weight, eps)
    x, y = x.contiguous(), y.contiguous()
    total, normed = torch.empty_like(x), torch.empty_like(x)
    width = weight.numel()
    _module(x).launch(
        "ft_add_rms_norm", (x.numel() // width, 1), x, y, weight, total, normed, c_int(width), c_float(eps)
    )
    return total, normed


def _free_dual_norm(x: Tensor, codes: Tensor, table: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    if not _fits(x, table, weight):
        return plain.free_dual_norm(x, codes, table, weight, eps)
    x, codes, table = x.contiguous(), codes.contiguous(), table.contiguous()
    normed, kv_normed = torch.empty_like(x), torch.empty_like(x)
    width = weight.numel()
    grid = (codes.numel(), 1)
    tensors = (x, codes, table, weight, normed, kv_normed)
    _module(x).launch("ft_free_dual_norm", grid, *tensors, c_int(width), c_float(eps))
    return normed, kv_normed


def _rope_kv_write(  # noqa: PLR0913, PLR0917 — the operator's schema
    q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, indices: Tensor, keys: Tensor, values: Tensor
) -> Tensor:
    num_rows, num_tokens, num_heads, head_dim = q.shape
    dense = keys.stride() == values.stride() and keys.stride()[2:] == (head_dim, 1)
    if not (_fits(q, k, v, cos, sin, keys, values) and dense):
        return plain.rope_kv_write(q, k, v, cos, sin, indices, keys, values)
    turned = q.new_empty(num_rows, num_heads, num_tokens, head_dim)
    read = [tensor.contiguous() for tensor in (q, k, v, cos, sin, indices)]
    sizes = [c_int(size) for size in (num_tokens, num_heads, k.shape[2], head_dim, cos.shape[0])]
    strides = [c_longlong(stride) for stride in keys.stride()[:2]]
    grid = (num_rows * num_tokens, 1)
    _module(q).launch("ft_rope_kv_write", grid, *read, turned, keys, values, *sizes, *strides)
    return turned


def _silu_mul(gate: Tensor, up: Tensor) -> Tensor:
    if not _fits(gate, up) or gate.shape != up.shape:
        return plain.silu_mul(gate, up)
    gate, up = gate.contiguous(), up.contiguous()
    out = torch.empty_like(gate)
    grid = (-(-out.numel() // THREADS), 1)
    _module(gate).launch("ft_silu_mul", grid, gate, up, out, c_longlong(out.numel()))
    return out


def _merge_lse(far: Tensor, far_lse: Tensor, near: Tensor, near_lse: Tensor) -> Tensor:
    if not _fits(far, near) or not far_lse.dtype == near_lse.dtype == torch.float32:
        return plain.merge_lse(far, far_lse, near, near_lse)
    read = [tensor.contiguous() for tensor in (far, far_lse, near, near_lse)]
    out = torch.empty_like(read[0])
    _module(far).launch("ft_merge_lse", (far_lse.numel(), 1), *read, out, c_int(far.shape[-1]))
    return out


def _philox_codes(keys: Tensor, draws: Tensor, first: int, count: int, num_bits: int) -> Tensor:
    num_rows = keys.shape[0]
    codes = torch.empty(num_rows, count, dtype=torch.int64, device=keys.device)
    grid = (-(-count // THREADS), num_rows)
    sizes = (c_longlong(first), c_int(count), c_int(num_bits))
    module = driver.load(torch.float32, keys.device)
    module.launch("ft_philox_codes", grid, keys.contiguous(), draws.contiguous(), codes, *sizes)
    return codes


def _fits(*tensors: Tensor) -> bool:
    """Whether there are kernels for these: all of one type that has some."""
    dtype = tensors[0].dtype
    return dtype in DTYPES and all(tensor.dtype == dtype for tensor in tensors)


def _module(tensor: Tensor) -> driver.Module:
    return driver.load(tensor.dtype, tensor.device)


_PLAIN = {name: getattr(flash if hasattr(flash, name) else plain, name) for name in _SCHEMAS}
_ON_CUDA = {
    "add_rms_norm": _add_rms_norm,
    "free_dual_norm": _free_dual_norm,
    "rope_kv_write": _rope_kv_write,
    "silu_mul": _silu_mul,
    "merge_lse": _merge_lse,
    "philox_codes": _philox_codes,
}


def _define() -> torch.library.Library:
    library: Any = torch.library.Library("ft", "DEF")  # type: ignore[no-untyped-call] # untyped in torch
    for name, schema in _SCHEMAS.items():
        library.define(name + schema)
        library.impl(name, _PLAIN[name], "CompositeExplicitAutograd")
    for name, kernel in _ON_CUDA.items():
        library.impl(name, kernel, "CUDA")
    return library  # type: ignore[no-any-return] # as above


LIBRARY = _define()
"""Keeps the operators defined as long as this module is."""
