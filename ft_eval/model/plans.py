"""Who sees whom in a forward pass: positions, masks and where new keys go. Knows no weights and no tokens.

    prefill      T tokens behind the prefix, each sees those before it
    extension    tokens at given positions, each sees the cache's positions up to its own
    packed       tokens at given positions, each sees those of the call that it is said to see

The prefix is seen by all, and stands in no mask.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ft_eval.errors import CheckpointError
from ft_eval.model.cache import KVCache, Prefix, padded_length
from ft_eval.model.config import ModelConfig
from ft_eval.model.layers import AttentionPlan
from ft_eval.model.rope import Rope


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the tokens of a call stand and what they stand behind; see `Transformer`."""

    positions: Tensor | None = None
    """(B, T) int64."""
    cache: KVCache | None = None
    prefix: Prefix | None = None
    visible: Tensor | None = None
    """(B, T, T) bool."""

    @property
    def start(self) -> int:
        """The position behind the prefix."""
        return self.prefix.num_tokens if self.prefix else 0


class Planner:
    """Makes the plans of one model."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self.rope = Rope(config)

    def make(self, tokens: Tensor, dtype: torch.dtype, placement: Placement) -> AttentionPlan:
        """The plan of `tokens` (B, T), or their states (B, T, D), in the blocks where the prefix lies.

        Raises:
            ValueError: positions, cache or prefix don't fit the tokens or each other.
            CheckpointError: the sequence is longer than the model's sliding window.
        """
        positions, cache = placement.positions, placement.cache
        if cache is not None and cache.num_rows != tokens.shape[0]:
            raise ValueError(f"{tokens.shape[0]} rows of tokens came with a cache of {cache.num_rows} rows")
        if placement.visible is not None:
            return self._packed(dtype, positions, placement.visible)
        if positions is None:
            return self._prefill(tokens, dtype, placement)
        if cache is None:
            raise ValueError("positions were given without a cache: an extension needs the keys that came before")
        return self._extension(dtype, positions, placement.start, cache)

    def _packed(self, dtype: torch.dtype, positions: Tensor | None, visible: Tensor) -> AttentionPlan:
        if positions is None:
            raise ValueError("tokens that see some of each other need their positions")
        self._check_length(int(positions.max()) + 1, None)
        mask = self._for_folded_heads(visible[:, None], dtype)
        return AttentionPlan(rotation=self.rope(positions, dtype), mask=mask)

    def _prefill(self, tokens: Tensor, dtype: torch.dtype, placement: Placement) -> AttentionPlan:
        start, length = placement.start, tokens.shape[1]
        self._check_length(start + length, placement.cache)
        rotation = self.rope(torch.arange(start, start + length, device=tokens.device)[None], dtype)
        if not start:
            return AttentionPlan(rotation=rotation, is_causal=True)
        visible = torch.ones(1, 1, length, length, dtype=torch.bool, device=tokens.device).tril()
        return AttentionPlan(rotation=rotation, mask=self._for_folded_heads(visible, dtype))

    def _extension(self, dtype: torch.dtype, positions: Tensor, start: int, cache: KVCache) -> AttentionPlan:
        num_positions = int(positions.max()) + 1
        self._check_length(num_positions, cache)
        num_keys = padded_length(num_positions - start)
        seen = torch.arange(start, start + num_keys, device=positions.device) <= positions[:, None, :, None]
        mask = additive(seen, dtype) if positions.shape[1] == 1 else self._for_folded_heads(seen, dtype)
        return AttentionPlan(
            rotation=self.rope(positions, dtype), mask=mask, indices=positions - start, num_keys=num_keys
        )

    def _for_folded_heads(self, seen: Tensor, dtype: torch.dtype) -> Tensor:
        """A mask (B, 1, N/G · T, S) from what T queries see, (B, 1, T, S) bool."""
        return additive(seen, dtype).repeat(1, 1, self._config.num_heads // self._config.num_kv_heads, 1)

    def _check_length(self, num_positions: int, cache: KVCache | None) -> None:
        window = self._config.sliding_window
        if window is not None and num_positions > window:
            raise CheckpointError(
                f"a sequence of {num_positions} tokens is longer than the model's sliding_window ({window}), and "
                f"sliding-window attention is not supported: limit the context to {window} tokens"
            )
        if cache is not None and num_positions > cache.max_length:
            raise ValueError(f"position {num_positions - 1} is beyond the cache's {cache.max_length} positions")


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask to add to scores: 0 where seen, -inf where not."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, float("-inf"))
