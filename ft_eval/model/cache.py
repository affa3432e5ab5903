"""The key-value cache: one preallocated block of memory per model, addressed by row and position.

    rows ↓  positions →
      0     a b c d e . . .      a row is a sequence; what lies beyond its own length is zero or stale,
      1     a b . . . . . .      and no query ever sees it: a query at position p sees positions s <= p.
      2     a b c d . . . .

Knows no scheduling: who sits in which row, and how long it is, is the caller's to remember.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from ft_eval.model.config import ModelConfig

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


class KVCache:
    """Keys and values of all blocks for `num_rows` sequences of at most `max_length` tokens, zero at first."""

    def __init__(
        self,
        config: ModelConfig,
        num_rows: int,
        max_length: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (config.num_layers, num_rows, config.num_kv_heads, padded_length(max_length), config.head_dim)
        self.max_length = max_length
        # zeros, not empty: a masked position has weight 0, and 0 × NaN would be NaN
        self._keys = torch.zeros(shape, dtype=dtype, device=device)
        self._values = torch.zeros(shape, dtype=dtype, device=device)
        self._make_layers()

    def _make_layers(self) -> None:
        self._layers = tuple(map(LayerCache, self._keys.unbind(0), self._values.unbind(0)))

    @property
    def num_rows(self) -> int:
        """Sequences that fit."""
        return self._keys.shape[1]

    @property
    def num_bytes(self) -> int:
        """Bytes of keys and values in these rows."""
        return 2 * self._keys.numel() * self._keys.element_size()

    def layer(self, index: int) -> LayerCache:
        """Block `index`'s keys and values, counting from 0."""
        return self._layers[index]

    def rows(self, start: int, stop: int) -> Self:
        """Rows start..stop-1 as a cache that shares this one's storage.

        Raises:
            ValueError: the rows are not in the cache.
        """
        if not 0 <= start < stop <= self.num_rows:
            raise ValueError(f"rows {start} to {stop} are not within the cache's {self.num_rows} rows")
        view = object.__new__(type(self))
        view.max_length = self.max_length
        view._keys = self._keys[:, start:stop]
        view._values = self._values[:, start:stop]
        view._make_layers()
        return view

    def move_row(self, src: int, dst: int, length: int) -> None:
        """Copy the first `length` positions of row src onto row dst; dst's later positions stay as they were."""
        if src == dst:
            return
        self._keys[:, dst, :, :length] = self._keys[:, src, :, :length]
        self._values[:, dst, :, :length] = self._values[:, src, :, :length]


def cache_bytes_per_token(config: ModelConfig, dtype: torch.dtype) -> int:
    """Bytes that one token of one sequence takes in a cache."""
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * dtype.itemsize
