"""A block on many tokens per row through the kernels: what `Block.forward` computes, up to the order of sums.

    x ─▶ norm ─▶ Q, K, V ─▶ turned, K and V kept ─▶ attention over [prefix; own] ─▶ + x ─▶ norm ─▶ SwiGLU ─▶ +

One call per block, nothing of its tensors made by PyTorch but the result. A query's bits depend on it and on the keys
it sees: not on its batch, not on threads, nor on whether the first keys come as a prefix. Knows no sequence.

    B rows    T tokens    D hidden size    G key-value heads    d head dimension
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ft_eval.model.cache import LayerCache
from ft_eval.model.layers import AttentionPlan, Block, Memory, rows_at
from ft_eval.model.native.blocks import LayerStruct, NativeBlocks, ShapeStruct
from ft_eval.model.native.build import Library
from ft_eval.model.plans import additive
from ft_eval.model.rope import Rotation

_LONG = ctypes.c_int64
_POINTER = ctypes.c_void_p


class _KeysStruct(ctypes.Structure):
    _fields_ = (
        *((name, _POINTER) for name in ("keys", "values")),
        *((name, _LONG) for name in ("row_stride", "head_stride", "count")),
    )


class _SightStruct(ctypes.Structure):
    _fields_ = (("mask", _POINTER), *((name, _LONG) for name in ("row_stride", "query_stride", "is_causal")))


class _PassStruct(ctypes.Structure):
    _fields_ = (
        *((name, _LONG) for name in ("num_rows", "num_tokens")),
        *((name, _POINTER) for name in ("x", "kv_input", "y", "cos", "sin")),
        ("angle_stride", _LONG),
        *((name, _POINTER) for name in ("places", "keys", "values")),
        ("own", _KeysStruct),
        ("prefix", _KeysStruct),
        ("sight", _SightStruct),
        *((name, _LONG) for name in ("only_queries", "threads")),
    )


@dataclass(frozen=True, slots=True)
class NativeBlock:
    """One block of a model, as the kernels know it. Does not hold the model, which holds it."""

    library: Library
    shape: ShapeStruct
    layer: LayerStruct

    def __call__(self, x: Tensor, plan: AttentionPlan, memory: Memory, kv_input: Tensor | None) -> Tensor | None:
        """The residual stream after the block, as `Block.forward`; None for what the kernels don't take.

        They take float32, keys and values whose positions lie side by side, and no call that asks for a gradient.
        """
        given = (x,) if kv_input is None else (x, kv_input)
        if not _takes(given, (memory.cache, memory.prefix)):
            return None
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        self._run(x, plan, memory, kv_input, y)
        return y

    def remember(self, kv_input: Tensor, plan: AttentionPlan, cache: LayerCache) -> bool:
        """Write the keys and values of kv_input (B, T, D) to the cache; false where the kernels don't take it."""
        taken = _takes((kv_input,), (cache,))
        if taken:
            self._run(kv_input, plan, Memory(cache=cache), None, None)
        return taken

    def at(
        self, wanted: Tensor, x: Tensor, plan: AttentionPlan, memory: Memory, kv_input: Tensor | None
    ) -> Tensor | None:
        """The residual stream at the wanted tokens, as `Block.at`; None for what the kernels don't take, or gain by.

        Keys and values are computed of all tokens, all else of the wanted ones alone; their bits are those of a whole
        pass.
        """
        cache = self._cache(x) if memory.cache is None else memory.cache
        given = x if kv_input is None else kv_input
        if 2 * wanted.shape[1] > x.shape[1] or not _takes((x, given), (cache, memory.prefix)):
            return None
        self._run(given, plan, Memory(cache=cache), None, None)
        queries = rows_at(x, wanted)
        y = torch.empty_like(queries)
        sight = _plan_at(wanted, plan, plan.num_keys or x.shape[1])
        self._run(queries, sight, Memory(cache=cache, prefix=memory.prefix), None, y, only_queries=True)
        return y

    def _cache(self, x: Tensor) -> LayerCache:
        """Room for the keys and values of x (B, T, D)."""
        shape = (x.shape[0], self.shape.num_kv_heads, x.shape[1], self.shape.head_dim)
        return LayerCache(torch.empty(shape, dtype=x.dtype), torch.empty(shape, dtype=x.dtype))

    def _run(
        self,
        x: Tensor,
        plan: AttentionPlan,
        memory: Memory,
        kv_input: Tensor | None,
        y: Tensor | None,
        *,
        only_queries: bool = False,
    ) -> None:
        """Without y, keys and values are all that is computed; `only_queries`: they are there already."""
        x, kv_input = x.contiguous(), None if kv_input is None else kv_input.contiguous()
        cos, sin = (angles.float().contiguous() for angles in plan.rotation)  # (B or 1, 1, T, d)
        places = None if plan.indices is None else plan.indices.expand(x.shape[:2]).contiguous()
        keys, values = (None, None) if memory.cache is None else memory.cache
        if places is not None:
            _check_places(places, memory.cache)
        step = _PassStruct(
            *x.shape[:2],
            x.data_ptr(),
            _pointer(kv_input),
            _pointer(y),
            cos.data_ptr(),
            sin.data_ptr(),
            cos[0].numel() if len(cos) > 1 else 0,
            _pointer(places),
            _pointer(keys),
            _pointer(values),
            _keys(memory.cache, plan.num_keys or x.shape[1]),
            _keys(memory.prefix, 0 if memory.prefix is None else memory.prefix.keys.shape[2]),
            _sight(plan),
            only_queries,
            torch.get_num_threads(),
        )
        self.library.handle.ft_prefill(ctypes.byref(self.shape), ctypes.byref(self.layer), ctypes.byref(step))


def install(blocks: NativeBlocks) -> None:
    """Let the kernels compute the model's blocks from now on, in place, where they are faster: in float32.

    In bfloat16 PyTorch's attention multiplies by AMX, and these kernels would be up to a tenth slower.
    """
    if blocks.model.dtype != torch.float32:
        return
    for block, layer in zip(blocks.model.model.layers, blocks.layers, strict=True):
        assert isinstance(block, Block), "a ModuleList says only that it holds modules"
        block.stand_in = NativeBlock(blocks.library, blocks.shape, layer)


def _takes(given: Sequence[Tensor], kept: Sequence[LayerCache | None]) -> bool:
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given):
        return False
    return all(tensor.dtype == torch.float32 for tensor in given) and all(
        layer is None or _lies_together(layer) for layer in kept
    )


def _check_places(places: Tensor, cache: LayerCache | None) -> None:
    """Raise where a key would be written outside the cache's memory (B, G, S, d)."""
    capacity = 0 if cache is None else cache.keys.shape[2]
    first, last = int(places.min()), int(places.max())
    if first < 0 or last >= capacity:
        raise ValueError(f"tokens at places {first} to {last} of a cache of {capacity} positions")


def _lies_together(layer: LayerCache) -> bool:
    return all(part.stride(3) == 1 and part.stride(2) == part.shape[3] for part in layer) and (
        layer.keys.stride() == layer.values.stride()
    )


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _keys(layer: LayerCache | None, count: int) -> _KeysStruct:
    """Keys and values (B or 1, G, S, d), of which `count` positions are read."""
    if layer is None:
        return _KeysStruct(None, None, 0, 0, count)
    row_stride = layer.keys.stride(0) if len(layer.keys) > 1 else 0
    return _KeysStruct(layer.keys.data_ptr(), layer.values.data_ptr(), row_stride, layer.keys.stride(1), count)


def _plan_at(wanted: Tensor, plan: AttentionPlan, num_keys: int) -> AttentionPlan:
    """The plan of the wanted tokens (B, Q) alone, over so many keys that are there."""
    num_rows = len(wanted)
    cos, sin = (rows_at(angles[:, 0].expand(num_rows, -1, -1), wanted)[:, None] for angles in plan.rotation)
    if plan.is_causal:
        mask = additive(torch.arange(num_keys) <= wanted[..., None], cos.dtype)
    else:
        assert plan.mask is not None, "a plan of ours is causal or has a mask"
        mask = rows_at(plan.mask[:, 0].expand(num_rows, -1, -1), wanted)
    return AttentionPlan(rotation=Rotation(cos, sin), mask=mask[:, None], num_keys=num_keys)


def _sight(plan: AttentionPlan) -> _SightStruct:
    """A mask (B or 1, 1, N/G · T, S) repeats itself from head to head: the first T queries say all."""
    mask = plan.mask
    if mask is None:
        return _SightStruct(None, 0, 0, plan.is_causal)
    assert mask.stride(3) == 1, "the planner's masks are contiguous"
    return _SightStruct(mask.data_ptr(), mask.stride(0) if len(mask) > 1 else 0, mask.stride(2), 0)
