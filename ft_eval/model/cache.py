"""The key-value cache: one preallocated block of memory per model, addressed by row and position.

    rows ↓  positions →
      0     a b c d e . . .      a row is a sequence; what lies beyond its own length is zero or stale,
      1     a b . . . . . .      and no query ever sees it: a query at position p sees positions s <= p.
      2     a b c d . . . .

Knows no scheduling: who sits in which row, and how long it is, is the caller's to remember.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ft_eval.model.config import ModelConfig
from ft_eval.model.native.memory import ask_for_huge_pages

_CHUNK = 512
_SMALL_CHUNK = 64


def padded_length(num_positions: int) -> int:
    """How many positions attention over the cache reads when the last one needed is num_positions - 1.

    A kernel's last bits depend on how far the keys are padded, and how far they are depends on the longest row of the
    batch. The CPU kernel takes keys in chunks of 512 and splits the sum over a chunk of more than 384 in halves; so the
    last chunk is rounded up to 64, 128, 192, 256 or 512, and a row's bits are the same beside any longer row.
    """
    whole, rest = divmod(num_positions, _CHUNK)
    small = -(-rest // _SMALL_CHUNK) * _SMALL_CHUNK
    return whole * _CHUNK + (small if small <= _CHUNK // 2 else _CHUNK)


class LayerCache(NamedTuple):
    """One block's keys and values, (num_rows, num_kv_heads, padded max_length, head_dim) each: views, not copies."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys and values of the first tokens of some rows, in some of the blocks; never written to."""

    layers: Mapping[int, LayerCache]
    """By block, (B, G, P, d), or (1, G, P, d) where all rows share them."""
    num_tokens: int
    """P."""

    @property
    def num_bytes(self) -> int:
        """Bytes of keys and values."""
        return sum(2 * layer.keys.numel() * layer.keys.element_size() for layer in self.layers.values())


class KVCache:
    """Keys and values of all blocks for `num_rows` sequences of at most `max_length` tokens, zero at first.

    A block's memory begins at position 0, or behind a prefix that is kept elsewhere: `lower_start` in the blocks before
    the middle, `upper_start` in the others. Positions are always those of the sequence.
    """

    def __init__(
        self,
        config: ModelConfig,
        num_rows: int,
        max_length: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        *,
        starts: tuple[int, int] = (0, 0),
    ) -> None:
        self.max_length = max_length
        self.lower_start, self.upper_start = starts
        self._middle = config.middle
        halves = ((config.middle, self.lower_start), (config.num_layers - config.middle, self.upper_start))
        # zeros, not empty: a masked position has weight 0, and 0 × NaN would be NaN
        self._halves = tuple(
            torch.zeros(
                (num_layers, 2, num_rows, config.num_kv_heads, padded_length(max_length - start), config.head_dim),
                dtype=dtype,
                device=device,
            )
            for num_layers, start in halves
        )
        for half in self._halves:
            ask_for_huge_pages(half)
        self._make_layers()

    def _make_layers(self) -> None:
        blocks = [block for half in self._halves for block in half.unbind(0)]
        self._layers = tuple(LayerCache(block[0], block[1]) for block in blocks)

    @property
    def num_rows(self) -> int:
        """Sequences that fit."""
        return self._halves[1].shape[2]

    @property
    def num_bytes(self) -> int:
        """Bytes of keys and values in these rows."""
        return sum(half.numel() * half.element_size() for half in self._halves)

    def layer(self, index: int) -> LayerCache:
        """Block `index`'s keys and values, counting from 0."""
        return self._layers[index]

    def start(self, index: int) -> int:
        """The position where block `index`'s memory begins."""
        return self.lower_start if index < self._middle else self.upper_start

    def rows(self, start: int, stop: int) -> Self:
        """Rows start..stop-1 as a cache that shares this one's storage.

        Raises:
            ValueError: the rows are not in the cache.
        """
        if not 0 <= start < stop <= self.num_rows:
            raise ValueError(f"rows {start} to {stop} are not within the cache's {self.num_rows} rows")
        view = copy(self)
        view._cut(start, stop)  # noqa: SLF001 — of the same class
        return view

    def _cut(self, start: int, stop: int) -> None:
        self._halves = tuple(half[:, :, start:stop] for half in self._halves)
        self._make_layers()

    def prefix(self, blocks: range, num_tokens: int) -> Prefix:
        """The first tokens of these rows in these blocks, sharing this cache's storage."""
        layers = {
            index: LayerCache(*(part[:, :, : num_tokens - self.start(index)] for part in self._layers[index]))
            for index in blocks
        }
        return Prefix(layers, num_tokens)

    def move_row(self, src: int, dst: int, length: int) -> None:
        """Copy the positions of row src before `length` onto row dst; dst's later positions stay as they were."""
        if src == dst:
            return
        for half, start in zip(self._halves, (self.lower_start, self.upper_start), strict=True):
            kept = max(0, length - start)
            half[:, :, dst, :, :kept] = half[:, :, src, :, :kept]


def cache_bytes_per_token(config: ModelConfig, dtype: torch.dtype) -> int:
    """Bytes that one token of one sequence takes in a cache."""
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * dtype.itemsize
