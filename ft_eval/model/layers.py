"""The parts of a block: RMSNorm, grouped-query attention, SwiGLU. Names are those of the hub's Llama tensors.

    B rows    T queries    S keys    P prefix keys    D hidden size    N query heads    G key-value heads    d head dim.

A block takes its queries and its residual stream from one input and its keys and values from another: they are the
same tensor everywhere but in the middle block of a latent model (X and X + R) and in the encoder (ζ and X).
Knows neither why the inputs differ nor where positions come from.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ft_eval.model.attention import attend, attend_behind
from ft_eval.model.cache import LayerCache
from ft_eval.model.config import ModelConfig
from ft_eval.model.rope import Rotation, rotate


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionPlan:
    """Who sees whom, worked out once per forward pass and shared by its blocks."""

    rotation: Rotation
    is_causal: bool = False
    """Prefill: query t sees keys s <= t of the same call."""
    mask: Tensor | None = None
    """Added to the scores, 0 or -inf, (B or 1, 1, 1 or N/G · T, S), where the queries of one key-value head's N/G query
    heads follow each other; None: no mask beyond is_causal. Prefix keys are seen by all and are not in it."""
    indices: Tensor | None = None
    """Extension: where in the cache's memory the T new keys go, (B, T) int64. None: from its beginning on."""
    num_keys: int = 0
    """Extension: S, how many keys of the cache are read."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a block's attention reads beyond the call's own keys, and where it writes these."""

    cache: LayerCache | None = None
    prefix: LayerCache | None = None
    """Keys that every query sees, (B, G, P, d), or (1, G, P, d) where all rows share them."""


NOTHING = Memory()


def normal(*shape: int, std: float = 1.0) -> Tensor:
    """Random numbers to start from; on the meta device none, where asking for them would load PyTorch's compiler."""
    numbers = torch.empty(*shape)
    return numbers if numbers.is_meta else nn.init.normal_(numbers, std=std)


def rows_at(x: Tensor, wanted: Tensor) -> Tensor:
    """The rows of x (B, T, …) at wanted (B, Q) int64: (B, Q, …)."""
    return x[torch.arange(len(x), device=x.device)[:, None], wanted]


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) · weight, over the last dimension (Zhang and Sennrich, 2019)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as x."""
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    """Grouped-query attention with RoPE."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        D, d = config.hidden_size, config.head_dim
        self.head_dim = d
        self.q_proj = nn.Linear(D, config.num_heads * d, bias=config.qkv_bias)
        self.k_proj = nn.Linear(D, config.num_kv_heads * d, bias=config.qkv_bias)
        self.v_proj = nn.Linear(D, config.num_kv_heads * d, bias=config.qkv_bias)
        self.o_proj = nn.Linear(config.num_heads * d, D, bias=config.output_bias)
        self.q_norm = RMSNorm(d, config.norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(d, config.norm_eps) if config.qk_norm else None

    def _heads(self, projected: Tensor, norm: RMSNorm | None) -> Tensor:
        """(B, T, heads · d) to (B, heads, T, d), each head normed where the model does so."""
        heads = projected.reshape(*projected.shape[:-1], -1, self.head_dim)
        if norm is not None:
            heads = norm(heads)
        return heads.transpose(1, 2)

    def forward(self, q_input: Tensor, kv_input: Tensor, plan: AttentionPlan, memory: Memory) -> Tensor:
        """q_input, kv_input (B, T, D), both normed already, to (B, T, D)."""
        q = rotate(self._heads(self.q_proj(q_input), self.q_norm), plan.rotation)  # (B, N, T, d)
        k, v = self._remember(kv_input, plan, memory.cache)
        if memory.prefix is None:
            mixed = attend(q, k, v, mask=plan.mask, is_causal=plan.is_causal)
        else:
            mixed = attend_behind(memory.prefix, q, LayerCache(k, v), plan.mask)
        out: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def remember(self, kv_input: Tensor, plan: AttentionPlan, cache: LayerCache) -> None:
        """Write the keys and values of kv_input (B, T, D), normed already, to the cache, and attend to nothing."""
        self._remember(kv_input, plan, cache)

    def _remember(self, kv_input: Tensor, plan: AttentionPlan, cache: LayerCache | None) -> LayerCache:
        """The keys and values that the queries see (B, G, S, d), the new ones written to the cache."""
        k = rotate(self._heads(self.k_proj(kv_input), self.k_norm), plan.rotation)  # (B, G, T, d)
        v = self._heads(self.v_proj(kv_input), None)  # (B, G, T, d)
        return LayerCache(k, v) if cache is None else _through_cache(cache, k, v, plan)


def _through_cache(cache: LayerCache, k: Tensor, v: Tensor, plan: AttentionPlan) -> LayerCache:
    """Write the new keys and values (B, G, T, d); return those that the queries see.

    A prefill sees its own fresh keys alone; an extension sees the first num_keys positions of the cache.
    """
    if plan.indices is None:
        cache.keys[:, :, : k.shape[2]] = k
        cache.values[:, :, : v.shape[2]] = v
        return LayerCache(k, v)
    rows = torch.arange(k.shape[0], device=k.device)[:, None]
    cache.keys[rows, :, plan.indices] = k.transpose(1, 2)
    cache.values[rows, :, plan.indices] = v.transpose(1, 2)
    return LayerCache(cache.keys[:, :, : plan.num_keys], cache.values[:, :, : plan.num_keys])


class SwiGLU(nn.Module):
    """down(silu(gate(x)) · up(x)) (Shazeer, 2020)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        D, width = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(D, width, bias=config.mlp_bias)
        self.up_proj = nn.Linear(D, width, bias=config.mlp_bias)
        self.down_proj = nn.Linear(width, D, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class StandIn(Protocol):
    """What may compute a block's forward pass in its place."""

    def __call__(self, x: Tensor, plan: AttentionPlan, memory: Memory, kv_input: Tensor | None) -> Tensor | None:
        """What `Block.forward` returns; None where the block is to compute it itself."""

    def at(
        self, wanted: Tensor, x: Tensor, plan: AttentionPlan, memory: Memory, kv_input: Tensor | None
    ) -> Tensor | None:
        """What `Block.at` returns; None where the block is to compute it itself."""

    def remember(self, kv_input: Tensor, plan: AttentionPlan, cache: LayerCache) -> bool:
        """What `Block.remember` does; false, and nothing done, where the block is to do it itself."""


class Block(nn.Module):
    """A pre-norm Transformer block: attention and SwiGLU, each added to the residual stream."""

    stand_in: StandIn | None = None
    """Asked first, where there is one."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.norm_eps)
        self.mlp = SwiGLU(config)

    def forward(
        self, x: Tensor, plan: AttentionPlan, memory: Memory = NOTHING, *, kv_input: Tensor | None = None
    ) -> Tensor:
        """The residual stream x (B, T, D) after this block.

        Queries come from x. Keys and values come from kv_input (B, T, D) where one is given, else from x; either
        goes through this block's norm first (Algorithm 2: R is added before the norm).
        """
        if self.stand_in is not None and (given := self.stand_in(x, plan, memory, kv_input)) is not None:
            return given
        normed = self.input_layernorm(x)
        kv_normed = normed if kv_input is None else self.input_layernorm(kv_input)
        x = x + self.self_attn(normed, kv_normed, plan, memory)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out

    def at(
        self, wanted: Tensor, x: Tensor, plan: AttentionPlan, memory: Memory, kv_input: Tensor | None = None
    ) -> Tensor:
        """The residual stream after this block at the tokens `wanted` (B, Q), (B, Q, D); the rest as in `forward`."""
        if self.stand_in is not None and (given := self.stand_in.at(wanted, x, plan, memory, kv_input)) is not None:
            return given
        return rows_at(self(x, plan, memory, kv_input=kv_input), wanted)

    def remember(self, kv_input: Tensor, plan: AttentionPlan, cache: LayerCache) -> None:
        """Write the keys and values of kv_input (B, T, D) to the cache: all that later tokens want of this block."""
        if self.stand_in is None or not self.stand_in.remember(kv_input, plan, cache):
            self.self_attn.remember(self.input_layernorm(kv_input), plan, cache)
