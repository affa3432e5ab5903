"""x-transformers' key-value cache made addressable by row and position.

Its decoders append to what they are given and know one length for a whole batch. Here every row keeps its own keys and
values; rows that stand at the same positions go through a decoder together.

    N heads    S cached positions    d head dimension
"""

import importlib
from typing import Any, Self

import torch
from torch import Tensor

LayerTensors = tuple[Tensor | None, ...]
"""What one attention layer caches of one row: keys and values (1, N, S, d); position is the last but one dimension."""


class DecoderCache:
    """Per row and decoder, what its attention layers cached. Rows of a view are rows of the whole."""

    def __init__(self, num_rows: int, max_length: int) -> None:
        self.max_length = max_length
        self._rows: list[dict[str, tuple[LayerTensors, ...]]] = [{} for _ in range(num_rows)]

    @property
    def num_rows(self) -> int:
        """Sequences that fit."""
        return len(self._rows)

    def rows(self, start: int, stop: int) -> Self:
        """Rows start..stop-1 as a cache that shares this one's storage."""
        view = object.__new__(type(self))
        view.max_length = self.max_length
        view._rows = self._rows[start:stop]
        return view

    def move_row(self, src: int, dst: int, length: int) -> None:
        """Put the first `length` positions of row src in the place of row dst."""
        moved = {name: _cut(layers, length) for name, layers in self._rows[src].items()}
        self._rows[dst].clear()  # in place: views hold the same rows
        self._rows[dst].update(moved)

    def past(self, name: str, rows: list[int], length: int) -> tuple[LayerTensors, ...]:
        """The first `length` positions of these rows, as one batch.

        Raises:
            ValueError: a row has fewer.
        """
        cut = [_cut(self._rows[row].get(name, ()), length) for row in rows]
        if any(_length(layers) != length for layers in cut):
            raise ValueError(f"a row's cache ends before position {length}, where it is to go on")
        return tuple(
            tuple(None if parts[0] is None else torch.cat(parts) for parts in zip(*layers, strict=True))
            for layers in zip(*cut, strict=True)
        )

    def store(self, name: str, rows: list[int], layers: tuple[LayerTensors, ...]) -> None:
        """Keep what a decoder cached of these rows, one batch entry each."""
        for number, row in enumerate(rows):
            self._rows[row][name] = tuple(
                tuple(None if part is None else part[number : number + 1] for part in layer) for layer in layers
            )


def run_decoder(
    decoder: Any,
    name: str,
    x: Tensor,
    *,
    residual: Tensor | None = None,
    positions: Tensor | None = None,
    cache: DecoderCache | None = None,
) -> Tensor:
    """Take x (B, T, D) through a decoder of x-transformers, to (B, T, D).

    Args:
        decoder: a `Decoder`.
        name: what its part of the cache is called.
        x: its input.
        residual: R (B, T, D), for the keys and values of its first block.
        positions: None for a prefill, (B, T) int64, each row without gaps, for an extension.
        cache: B rows; required by an extension.

    Raises:
        ValueError: positions without a cache, with gaps, or beyond what a row has cached.
    """
    if positions is None:
        extra = {} if residual is None else {"self_attn_kv_residuals": residual}
        if cache is None:
            whole: Tensor = decoder(x, **extra)
            return whole
        return _extend(decoder, name, x, residual, (cache, list(range(x.shape[0])), 0))
    if cache is None:
        raise ValueError("positions were given without a cache: an extension needs the keys that came before")
    out = torch.empty_like(x)
    for start, rows in _groups(positions).items():
        part = None if residual is None else residual[rows]
        out[rows] = _extend(decoder, name, x[rows], part, (cache, rows, start))
    return out


def _extend(
    decoder: Any, name: str, x: Tensor, residual: Tensor | None, place: tuple[DecoderCache, list[int], int]
) -> Tensor:
    """Rows that all go on from one position."""
    cache, rows, start = place
    if start + x.shape[1] > cache.max_length:
        raise ValueError(f"position {start + x.shape[1] - 1} is beyond the cache's {cache.max_length} positions")
    keywords: dict[str, Any] = {} if residual is None else {"self_attn_kv_residuals": residual}
    if start:
        keywords |= {"cache": _intermediates(cache.past(name, rows, start), start), "cache_age": x.shape[1]}
    hidden, after = decoder(x, return_hiddens=True, **keywords)
    cache.store(name, rows, tuple(tuple(layer.cached_kv) for layer in after.attn_intermediates))
    extended: Tensor = hidden
    return extended


def _intermediates(layers: tuple[LayerTensors, ...], length: int) -> Any:
    """Cached tensors in the library's own records."""
    library: Any = importlib.import_module("x_transformers.x_transformers")
    attention: Any = importlib.import_module("x_transformers.attend")
    return library.LayerIntermediates(
        attn_intermediates=[attention.Intermediates(cached_kv=layer) for layer in layers], cache_length=length
    )


def _groups(positions: Tensor) -> dict[int, list[int]]:
    """Rows by the position they go on from."""
    starts = positions[:, 0]
    steps = torch.arange(positions.shape[1], device=positions.device)
    if not torch.equal(positions, starts[:, None] + steps):
        raise ValueError("the positions of a row must follow each other without gaps")
    groups: dict[int, list[int]] = {}
    for row, start in enumerate(starts.tolist()):
        groups.setdefault(start, []).append(row)
    return groups


def _cut(layers: tuple[LayerTensors, ...], length: int) -> tuple[LayerTensors, ...]:
    return tuple(tuple(None if part is None else part[..., :length, :] for part in layer) for layer in layers)


def _length(layers: tuple[LayerTensors, ...]) -> int:
    """Positions that a row has cached; a decoder without attention layers has cached any."""
    lengths = [part.shape[-2] for layer in layers for part in layer if part is not None]
    return min(lengths, default=0)
