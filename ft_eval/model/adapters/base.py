"""A model of the protocol from two functions of whole sequences: X of tokens, and hidden states of X and R.

`AdaptedModel` adds the split forward pass and a cache that works for any causal model: it remembers what came in and
computes the whole prefix again, which is right by construction and slow. A model with a cache of its own overrides
`new_cache`, `lower` and `upper`. Knows no layout.

    B rows    T tokens    S cache positions    D hidden size    V vocabulary    H latent bits
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from ft_eval.model.config import ModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectedConfig(ModelConfig):
    """A ModelConfig whose Z enters at a block of its own choice."""

    inject_layer: int
    """The block whose keys and values see R, counting from 0."""

    @property
    def middle(self) -> int:
        """The block whose keys and values see R, counting from 0."""
        return self.inject_layer


class History:
    """What came in, per row and position: tokens, X and R. Zero where nothing came in yet."""

    def __init__(self, num_rows: int, max_length: int, hidden_size: int, like: Tensor) -> None:
        self.max_length = max_length
        self.token_ids = torch.zeros(num_rows, max_length, dtype=torch.int64, device=like.device)  # (B, S)
        self.x = like.new_zeros(num_rows, max_length, hidden_size)  # (B, S, D)
        self.residual = like.new_zeros(num_rows, max_length, hidden_size)  # (B, S, D)

    @property
    def num_rows(self) -> int:
        """Sequences that fit."""
        return self.token_ids.shape[0]

    def rows(self, start: int, stop: int) -> Self:
        """Rows start..stop-1 as a cache that shares this one's storage."""
        view = object.__new__(type(self))
        view.max_length = self.max_length
        view.token_ids, view.x, view.residual = (
            stored[start:stop] for stored in (self.token_ids, self.x, self.residual)
        )
        return view

    def move_row(self, src: int, dst: int, length: int) -> None:
        """Copy the first `length` positions of row src onto row dst."""
        for stored in (self.token_ids, self.x, self.residual):
            stored[dst, :length] = stored[src, :length]


class AdaptedModel(nn.Module, ABC):
    """Someone else's model behind the surface that evaluation uses. Subclasses give five functions and a config."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def whole_lower(self, token_ids: Tensor) -> Tensor:
        """X (B, T, D) of token_ids (B, T) from position 0 on; causal."""

    @abstractmethod
    def whole_upper(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """Hidden states (B, T, D) of X and R (B, T, D) from position 0 on; causal. R None is R = 0."""

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """Scores (..., V) of hidden states (..., D)."""

    @abstractmethod
    def encode(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """Bit logits (B, T, H) of the posterior, from X of whole sequences; `lengths` (B,) where rows are padded."""

    @abstractmethod
    def post_sample(self, codes: Tensor) -> Tensor:
        """R (B, T, D) for codes (B, T) int64 in [0, 2^H); zero where a code is -1."""

    def source_penalty(self, bit_logits: Tensor) -> Tensor | None:
        """The free-bits penalty in nats as the source itself computes it, which settles κ's unit; None: it can't."""
        return None

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def new_cache(self, num_rows: int, max_length: int) -> Any:
        """A cache for `num_rows` sequences of at most `max_length` tokens."""
        return History(num_rows, max_length, self.config.hidden_size, next(self.parameters()))

    def forward(
        self,
        token_ids: Tensor,
        *,
        codes: Tensor | None = None,
        positions: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """Hidden states (B, T, D), as `Transformer.forward`.

        Raises:
            ValueError: a latent model without codes, or a baseline with them, or positions without a cache.
        """
        if (codes is None) != (self.config.latent is None):
            raise ValueError("a latent model needs codes (-1 switches Z off), and a baseline takes none")
        residual = None if codes is None else self.post_sample(codes)
        x = self.lower(token_ids, positions=positions, cache=cache)
        return self.upper(x, residual=residual, positions=positions, cache=cache)

    def lower(self, token_ids: Tensor, *, positions: Tensor | None = None, cache: Any = None) -> Tensor:
        """X (B, T, D), which never depends on Z."""
        at = _positions(token_ids, positions, cache)
        if cache is None:
            return self.whole_lower(token_ids)
        _write(cache.token_ids, at, token_ids)
        return _read(self.whole_lower(cache.token_ids[:, : int(at.max()) + 1]), at)

    def upper(
        self,
        x: Tensor,
        *,
        residual: Tensor | None = None,
        positions: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """Hidden states (B, T, D) from X and R."""
        at = _positions(x, positions, cache)
        if cache is None:
            return self.whole_upper(x, residual)
        _write(cache.x, at, x)
        _write(cache.residual, at, torch.zeros_like(x) if residual is None else residual)
        num_positions = int(at.max()) + 1
        injected = None if self.config.latent is None else cache.residual[:, :num_positions]
        return _read(self.whole_upper(cache.x[:, :num_positions], injected), at)


def _positions(incoming: Tensor, positions: Tensor | None, cache: Any) -> Tensor:
    """(B, T) int64."""
    if positions is not None:
        if cache is None:
            raise ValueError("positions were given without a cache: an extension needs what came before")
        return positions
    num_rows, length = incoming.shape[:2]
    return torch.arange(length, device=incoming.device).expand(num_rows, length)


def _write(stored: Tensor, positions: Tensor, incoming: Tensor) -> None:
    rows = torch.arange(positions.shape[0], device=positions.device)[:, None]
    stored[rows, positions] = incoming


def _read(computed: Tensor, positions: Tensor) -> Tensor:
    rows = torch.arange(positions.shape[0], device=positions.device)[:, None]
    return computed[rows, positions]
