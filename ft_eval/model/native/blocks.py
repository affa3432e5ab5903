"""Decoding steps of a model through the kernels: one call for the lower blocks, one for the upper ones.

    tokens ─▶ embedding ─▶ blocks 0 .. L/2−1 ─▶ X ─▶ blocks L/2 .. L−1, with R ─▶ norm ─▶ hidden

What it computes is what an extension of one token per row computes in `Transformer`, up to the order of sums. Prefixes
are read from a second copy of their keys, laid out for many queries; the cache is read and written where it is.

    B rows    D hidden size    G key-value heads    d head dimension    P prefix keys    S cache positions
"""

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ft_eval.model.cache import KVCache, LayerCache, Prefix
from ft_eval.model.layers import Block
from ft_eval.model.native.build import Library, LinearStruct
from ft_eval.model.native.linear import NativeLinear
from ft_eval.model.native.readout import NativeReadout
from ft_eval.model.transformer import Transformer

_VECTOR = 16
_MAX_HEAD_DIM = 1024
_KEY_PANEL = 64


class ShapeStruct(ctypes.Structure):
    """`Shape` of attention.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("hidden_size", "num_heads", "num_kv_heads", "head_dim")),
        ("intermediate_size", ctypes.c_int64),
        ("norm_eps", ctypes.c_double),
        ("is_bf16", ctypes.c_int64),
    )


class LayerStruct(ctypes.Structure):
    """`Layer` of pieces.h; points into the weights, which the model's layers keep."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("input_norm", "post_norm", "q_norm", "k_norm")),
        *((name, LinearStruct) for name in ("q", "k", "v", "o", "gate", "up", "down")),
    )


class _MemoryStruct(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("keys", "values")),
        *((name, ctypes.c_int64) for name in ("row_stride", "head_stride", "start")),
        *((name, ctypes.c_void_p) for name in ("prefix_keys", "prefix_values")),
        ("prefix_length", ctypes.c_int64),
    )


class _StepStruct(ctypes.Structure):
    _fields_ = (
        ("num_rows", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("positions", "cos", "sin", "x", "table", "codes")),
        *((name, ctypes.c_int64) for name in ("num_codes", "threads")),
    )


@dataclass(frozen=True, slots=True)
class NativeBlocks:
    """The blocks of one model, as the kernels know them. Opens caches for decoding."""

    model: Transformer
    library: Library
    shape: ShapeStruct
    layers: ctypes.Array[LayerStruct]

    @classmethod
    def of(cls, model: Transformer, library: Library) -> "NativeBlocks | None":
        """The model's blocks, where the kernels can compute them: packed natively, of heads of 16, 32, 48 … numbers."""
        config = model.config
        blocks = [block for block in model.model.layers if isinstance(block, Block)]
        fits = config.head_dim % _VECTOR == 0 and config.head_dim <= _MAX_HEAD_DIM and config.hidden_size % _VECTOR == 0
        if type(model) is not Transformer or not fits or not all(map(_is_native, blocks)):
            return None
        shape = ShapeStruct(
            config.hidden_size,
            config.num_heads,
            config.num_kv_heads,
            config.head_dim,
            config.intermediate_size,
            config.norm_eps,
            model.dtype == torch.bfloat16,
        )
        return cls(model, library, shape, (LayerStruct * len(blocks))(*map(_layer_struct, blocks)))

    @property
    def readout(self) -> NativeReadout:
        """What reads the model's logits."""
        return NativeReadout(self.library)

    @property
    def row_multiple(self) -> int:
        """To a multiple of which batches are padded, so that a row's bits hang on no other: 4 for a plain readout."""
        return 1 if isinstance(self.model.lm_head, NativeLinear) else 4

    def open(
        self, model: Transformer, cache: KVCache, prefixes: tuple[Prefix | None, Prefix | None]
    ) -> "NativeSteps | None":
        """Steps over a cache behind prefixes, of the lower and of the upper blocks, that all rows share.

        None for another model, where sequences may outgrow a sliding window, or where each row has its own prefix.
        """
        window = model.config.sliding_window
        layers = [layer for prefix in prefixes if prefix is not None for layer in prefix.layers.values()]
        shared = all(len(layer.keys) == 1 for layer in layers)
        if model is not self.model or not shared or (window is not None and cache.max_length > window):
            return None
        return NativeSteps(self, cache, prefixes)


class NativeSteps:
    """Decodes the rows of one cache behind one pair of prefixes."""

    def __init__(self, blocks: NativeBlocks, cache: KVCache, prefixes: tuple[Prefix | None, Prefix | None]) -> None:
        self.row_multiple = blocks.row_multiple
        self._blocks, self._cache = blocks, cache
        config, self._middle = blocks.model.config, blocks.model.config.middle
        positions = torch.arange(cache.max_length)[None]
        rotation = blocks.model._plans.rope(positions, blocks.model.dtype)  # noqa: SLF001 — one more way into its blocks
        self._cos, self._sin = (angles.float().contiguous() for angles in rotation)  # (1, 1, S, d)
        latent = blocks.model.latent
        self._table = None if latent is None else latent.post_sampler.weight.detach().contiguous()  # W (2^H, D)
        self._kept: list[Tensor] = []
        memories = [self._memory(index, prefixes[index >= self._middle]) for index in range(config.num_layers)]
        self._memories = (_MemoryStruct * len(memories))(*memories)

    def _memory(self, index: int, prefix: Prefix | None) -> _MemoryStruct:
        keys, values = self._cache.layer(index)
        start = self._cache.start(index)
        if prefix is None:
            return _MemoryStruct(keys.data_ptr(), values.data_ptr(), *keys.stride()[:2], start, None, None, 0)
        prefix_keys, prefix_values = _prefix(prefix.layers[index])
        self._kept += [prefix_keys, prefix_values]
        return _MemoryStruct(
            keys.data_ptr(),
            values.data_ptr(),
            *keys.stride()[:2],
            start,
            prefix_keys.data_ptr(),
            prefix_values.data_ptr(),
            prefix.num_tokens,
        )

    def step(self, token_ids: Tensor, positions: Tensor, codes: Tensor | None) -> Tensor:
        """Hidden states (B, 1, D) of one token more in rows 0 .. B−1.

        Args:
            token_ids: (B, 1) int64.
            positions: (B, 1) int64, behind the prefixes and within the cache.
            codes: Z, (B, 1) int64, -1 where R = 0; None for a baseline.

        Raises:
            ValueError: more rows than the cache has, a position outside it, or codes that don't fit the model.
        """
        model = self._blocks.model
        if (codes is None) != (model.latent is None):
            raise ValueError("a latent model needs codes, and a baseline takes none")
        first, last = max(self._cache.lower_start, self._cache.upper_start), self._cache.max_length - 1
        places = positions.reshape(-1).contiguous()
        chosen = None if codes is None else codes.reshape(-1).contiguous()
        if chosen is not None and len(chosen) != len(places):
            raise ValueError(f"{len(chosen)} codes for {len(places)} rows")
        if len(places) > self._cache.num_rows or int(places.min()) < first or int(places.max()) > last:
            raise ValueError(f"{len(places)} rows at positions {places.tolist()}: the cache has {first} to {last}")
        x = model.model.embed_tokens(token_ids).contiguous()  # (B, 1, D)
        self._run(range(self._middle), x, places, None)
        self._run(range(self._middle, model.config.num_layers), x, places, chosen)
        hidden: Tensor = model.model.norm(x)
        return hidden

    def _run(self, blocks: range, x: Tensor, positions: Tensor, codes: Tensor | None) -> None:
        """X (B, 1, D) through blocks, in place; R, the codes' rows of W, enters the keys and values of the first."""
        step = _StepStruct(
            len(positions),
            positions.data_ptr(),
            self._cos.data_ptr(),
            self._sin.data_ptr(),
            x.data_ptr(),
            None if codes is None or self._table is None else self._table.data_ptr(),
            None if codes is None else codes.data_ptr(),
            0 if self._table is None else len(self._table),
            torch.get_num_threads(),
        )
        layers, memories = self._blocks.layers, self._memories
        refused = self._blocks.library.handle.ft_blocks(
            ctypes.byref(self._blocks.shape),
            ctypes.byref(layers, blocks.start * ctypes.sizeof(LayerStruct)),
            ctypes.byref(memories, blocks.start * ctypes.sizeof(_MemoryStruct)),
            ctypes.c_int64(len(blocks)),
            ctypes.byref(step),
        )
        if refused and codes is not None:
            raise ValueError(f"codes {codes.tolist()}: expected -1 to {step.num_codes - 1}")


def _prefix(layer: LayerCache) -> tuple[Tensor, Tensor]:
    """A prefix's keys and values (1, G, P, d), in fp32, as (G, P/64, d, 64) and (G, P, d)."""
    keys, values = (part[0].float() for part in layer)
    filled = F.pad(keys, (0, 0, 0, -keys.shape[1] % _KEY_PANEL))
    panels = filled.view(len(keys), -1, _KEY_PANEL, keys.shape[2]).transpose(2, 3)
    return panels.contiguous(), values.contiguous()


def _is_native(block: Block) -> bool:
    attention, mlp = block.self_attn, block.mlp
    layers = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
    return all(isinstance(layer, NativeLinear) for layer in (*layers, mlp.gate_proj, mlp.up_proj, mlp.down_proj))


def _layer_struct(block: Block) -> LayerStruct:
    attention, mlp = block.self_attn, block.mlp
    norms = (block.input_layernorm, block.post_attention_layernorm, attention.q_norm, attention.k_norm)
    linears = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
    return LayerStruct(
        *(None if norm is None else norm.weight.data_ptr() for norm in norms),
        *(_struct(layer) for layer in (*linears, mlp.gate_proj, mlp.up_proj, mlp.down_proj)),
    )


def _struct(layer: object) -> LinearStruct:
    assert isinstance(layer, NativeLinear), "looked at a moment ago"
    return layer.struct
