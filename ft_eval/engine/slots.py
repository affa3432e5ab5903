"""Where sequences sit while they are decoded: their keys, values and codes, by slot. Knows no request and no stop.

PlainSlots      any model: a prompt is computed for each slot that it comes to
SharingSlots    a model of ours: behind a prefix that is read in place; the lower blocks of a prompt that comes to
                several slots, once per draw of Z, are computed once
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ft_eval.engine.padding import ROW_MULTIPLE, pad_right, padded_width
from ft_eval.engine.prefill import Ground, LowerRows, Seat, upper_rows
from ft_eval.engine.prefix_store import PrefixStore
from ft_eval.engine.prefixes import Path
from ft_eval.engine.steps import StepCompiler, Steps
from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.cache import KVCache, LayerCache, Prefix
from ft_eval.model.latent import NO_CODE

_Tokens = tuple[int, ...]


class Slots(Protocol):
    """Sequences under decoding, in slots 0 .. n−1."""

    @property
    def row_multiple(self) -> int:
        """To a multiple of which a step's rows are to be padded, so that a row has the same bits in any batch."""

    def prefill(self, seats: Sequence[Seat], first: Callable[[], int]) -> Iterator[Tensor | None]:
        """Take prompts in, pass by pass, from slot `first()` on, which is asked once they are about to come there.

        Yields:
            None between passes, where the slots may go on; at last the hidden states of the prompts' last tokens,
            (seats, D).
        """

    def step(self, token_ids: Tensor, positions: Tensor) -> Tensor:
        """One token more in slots 0 .. B−1, (B, 1) each: hidden states (B, 1, D)."""

    def move(self, src: int, dst: int, num_tokens: int) -> None:
        """What is in slot src also in slot dst."""


class _Codes:
    """Z of every slot and position."""

    def __init__(self, model: LatentModel, num_slots: int, max_length: int) -> None:
        shape = (num_slots, max_length)
        self._codes = (
            torch.full(shape, NO_CODE, dtype=torch.int64, device=model.device) if model.config.latent else None
        )

    def put(self, first: int, seats: Sequence[Seat]) -> None:
        for slot, seat in enumerate(seats, start=first):
            if self._codes is not None and seat.codes is not None:
                self._codes[slot, : seat.codes.numel()] = seat.codes.to(self._codes.device)

    def move(self, src: int, dst: int) -> None:
        if self._codes is not None:
            self._codes[dst] = self._codes[src]

    def between(self, first: int, stop: int, span: range) -> Tensor | None:
        return None if self._codes is None else self._codes[first:stop, span.start : span.stop]

    def at(self, positions: Tensor) -> Tensor | None:
        return None if self._codes is None else self._codes[: len(positions)].gather(1, positions)


class PlainSlots:
    """Slots of any model."""

    def __init__(self, model: LatentModel, num_slots: int, max_length: int) -> None:
        self._model = model
        self._max_length = max_length
        self._cache = model.new_cache(num_slots, max_length)
        self._codes = _Codes(model, num_slots, max_length)
        self.row_multiple = ROW_MULTIPLE

    def prefill(self, seats: Sequence[Seat], first: Callable[[], int]) -> Iterator[Tensor | None]:
        """See `Slots`; in one pass."""
        at = first()
        self._codes.put(at, seats)
        limit = min(self._max_length, self._model.config.context_length)
        width = padded_width(max(len(seat.prompt) for seat in seats), limit)
        tokens = pad_right([seat.prompt for seat in seats], width).to(self._model.device)
        stop = at + len(seats)
        codes = self._codes.between(at, stop, range(tokens.shape[1]))
        hidden = self._model(tokens, codes=codes, cache=self._cache.rows(at, stop))
        last = torch.tensor([len(seat.prompt) for seat in seats], device=hidden.device) - 1
        yield hidden[torch.arange(len(seats), device=hidden.device), last]

    def step(self, token_ids: Tensor, positions: Tensor) -> Tensor:
        """See `Slots`."""
        rows = self._cache.rows(0, len(token_ids))
        return self._model(token_ids, codes=self._codes.at(positions), positions=positions, cache=rows)

    def move(self, src: int, dst: int, num_tokens: int) -> None:
        """See `Slots`."""
        self._cache.move_row(src, dst, num_tokens)
        self._codes.move(src, dst)


class SharingSlots:
    """Slots of a model of ours, behind one prefix.

    Args:
        store: keeps the prefix, and has the model.
        prefix: what all prompts begin with; may be empty.
        prefix_codes: Z there, (P,) int64, where all sequences have the same; None where each has its own, or none.
        shares_upper: whether the upper blocks read the prefix in place, too.
        prompts: all that will come; those that come again are remembered until they have.
        shape: (slots, length of the longest sequence).
    """

    def __init__(
        self,
        store: PrefixStore,
        prefix: Path,
        prefix_codes: Tensor | None,
        *,
        shares_upper: bool,
        prompts: Sequence[_Tokens],
        shape: tuple[int, int],
    ) -> None:
        self._model = store.model
        start = len(prefix)
        lower = store.lower(prefix) if prefix else None
        upper = store.upper(prefix, prefix_codes) if prefix and shares_upper else None
        limit = min(shape[1], self._model.config.context_length)
        self._ground = Ground(model=self._model, start=start, limit=limit, lower=lower, upper=upper)
        self._cache = self._model.new_cache(*shape, starts=(start, self._ground.upper_start))
        self._codes = _Codes(self._model, *shape)
        self._rows = LowerRows(self._ground, prompts)
        self._views: dict[int, KVCache] = {}
        self._prefixes: tuple[Prefix | None, Prefix | None] = (lower.kept if lower else None, upper)
        self._steps: Steps | None = None

    def compile(self, compiler: StepCompiler) -> None:
        """Take steps by the compiler's from here on, where it has any for this cache."""
        self._steps = compiler.open(self._model, self._cache, self._prefixes)

    @property
    def row_multiple(self) -> int:
        """See `Slots`."""
        return ROW_MULTIPLE if self._steps is None else self._steps.row_multiple

    def prefill(self, seats: Sequence[Seat], first: Callable[[], int]) -> Iterator[Tensor | None]:
        """See `Slots`."""
        rows = yield from self._rows.take([seat.prompt for seat in seats])
        upper, hidden = yield from upper_rows(self._ground, rows, seats)
        at = first()
        self._codes.put(at, seats)
        cache = self._cache.rows(at, at + len(seats))
        for number, (row, seat) in enumerate(zip(rows, seats, strict=True)):
            for index, layer in enumerate(row.layers):
                _put(cache.layer(index), number, layer)
            own = slice(len(seat.prompt) - self._ground.upper_start)
            for index in range(self._model.config.middle, self._model.config.num_layers):
                keys, values = upper.layer(index)
                _put(cache.layer(index), number, LayerCache(keys[number, :, own], values[number, :, own]))
        yield hidden

    def step(self, token_ids: Tensor, positions: Tensor) -> Tensor:
        """See `Slots`."""
        if self._steps is not None:
            return self._steps.step(token_ids, positions, self._codes.at(positions))
        num_rows = len(token_ids)
        if num_rows not in self._views:
            self._views[num_rows] = self._cache.rows(0, num_rows)
        hidden: Any = self._model(
            token_ids,
            codes=self._codes.at(positions),
            positions=positions,
            cache=self._views[num_rows],
            prefixes=self._prefixes,
        )
        return hidden  # type: ignore[no-any-return] # nn.Module's call is untyped

    def move(self, src: int, dst: int, num_tokens: int) -> None:
        """See `Slots`."""
        self._cache.move_row(src, dst, num_tokens)
        self._codes.move(src, dst)


def _put(layer: LayerCache, row: int, kept: LayerCache) -> None:
    """Write keys and values (G, T, d) to a row's first positions."""
    layer.keys[row, :, : kept.keys.shape[1]] = kept.keys
    layer.values[row, :, : kept.values.shape[1]] = kept.values
