"""Where sequences sit while they are decoded: their keys, values and codes, by slot. Knows no request and no stop.

PlainSlots      any model: a prompt is computed for each slot that it comes to
SharingSlots    a model of ours: behind a prefix that is read in place; the lower blocks of a prompt that comes to
                several slots, once per draw of Z, are computed once
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ft_eval.engine.padding import ROW_MULTIPLE, pad_right, padded_width
from ft_eval.engine.prefix_store import PrefixStore
from ft_eval.engine.steps import StepCompiler, Steps
from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.cache import KVCache, LayerCache, Prefix
from ft_eval.model.latent import NO_CODE

_Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Seat:
    """A sequence that comes to a slot."""

    prompt: _Tokens
    codes: Tensor | None
    """Of all its positions to come, (n,) int64; None for a baseline."""


class Slots(Protocol):
    """Sequences under decoding, in slots 0 .. n−1."""

    @property
    def row_multiple(self) -> int:
        """To a multiple of which a step's rows are to be padded, so that a row has the same bits in any batch."""

    def prefill(self, first: int, seats: Sequence[Seat]) -> Tensor:
        """Take prompts in from slot `first` on; the hidden states of their last tokens, (seats, D)."""

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

    def prefill(self, first: int, seats: Sequence[Seat]) -> Tensor:
        """See `Slots`."""
        self._codes.put(first, seats)
        limit = min(self._max_length, self._model.config.context_length)
        width = padded_width(max(len(seat.prompt) for seat in seats), limit)
        tokens = pad_right([seat.prompt for seat in seats], width).to(self._model.device)
        stop = first + len(seats)
        codes = self._codes.between(first, stop, range(tokens.shape[1]))
        hidden = self._model(tokens, codes=codes, cache=self._cache.rows(first, stop))
        return _last(hidden, [len(seat.prompt) for seat in seats])

    def step(self, token_ids: Tensor, positions: Tensor) -> Tensor:
        """See `Slots`."""
        rows = self._cache.rows(0, len(token_ids))
        return self._model(token_ids, codes=self._codes.at(positions), positions=positions, cache=rows)

    def move(self, src: int, dst: int, num_tokens: int) -> None:
        """See `Slots`."""
        self._cache.move_row(src, dst, num_tokens)
        self._codes.move(src, dst)


@dataclass(frozen=True, slots=True)
class _LowerRow:
    """A prompt behind its prefix, in the lower blocks."""

    layers: tuple[LayerCache, ...]
    """(G, T, d) each."""
    x: Tensor
    """(T, D)."""


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
        prefix: _Tokens,
        prefix_codes: Tensor | None,
        *,
        shares_upper: bool,
        prompts: Sequence[_Tokens],
        shape: tuple[int, int],
    ) -> None:
        self._model = store.model
        self._start = len(prefix)
        self._lower = store.lower(prefix) if prefix else None
        self._upper = store.upper(prefix, prefix_codes) if prefix and shares_upper else None
        self._cache = self._model.new_cache(*shape, starts=(self._start, self._start if shares_upper else 0))
        self._codes = _Codes(self._model, *shape)
        self._to_come = Counter(prompts)
        self._remembered: dict[_Tokens, _LowerRow] = {}
        self._views: dict[int, KVCache] = {}
        self._prefixes: tuple[Prefix | None, Prefix | None] = (self._lower.kept if self._lower else None, self._upper)
        self._steps: Steps | None = None

    def compile(self, compiler: StepCompiler) -> None:
        """Take steps by the compiler's from here on, where it has any for this cache."""
        self._steps = compiler.open(self._model, self._cache, self._prefixes)

    @property
    def row_multiple(self) -> int:
        """See `Slots`."""
        return ROW_MULTIPLE if self._steps is None else self._steps.row_multiple

    def prefill(self, first: int, seats: Sequence[Seat]) -> Tensor:
        """See `Slots`."""
        self._codes.put(first, seats)
        stop, view = first + len(seats), self._cache.rows(first, first + len(seats))
        rows = self._lower_rows([seat.prompt for seat in seats])
        for number, row in enumerate(rows):
            for index, (keys, values) in enumerate(row.layers):
                view.layer(index).keys[number, :, : keys.shape[1]] = keys
                view.layer(index).values[number, :, : values.shape[1]] = values
        width = self._width(max(len(seat.prompt) for seat in seats))
        x = torch.zeros(len(rows), width, rows[0].x.shape[1], dtype=rows[0].x.dtype, device=rows[0].x.device)
        for number, row in enumerate(rows):
            x[number, : len(row.x)] = row.x
        return _last(self._upper_prefill(x, first, stop, view), [len(seat.prompt) - self._start for seat in seats])

    def _upper_prefill(self, x: Tensor, first: int, stop: int, view: KVCache) -> Tensor:
        """The upper blocks on X behind the prefix (B, T, D)."""
        model, start, width = self._model, self._start, x.shape[1]
        residual = self._residual(self._codes.between(first, stop, range(start, start + width)))
        if self._lower is None or self._upper is not None:
            return model.upper(x, residual=residual, cache=view, prefix=self._upper)
        before = self._residual(self._codes.between(first, stop, range(start)))
        model.remember(self._lower.x.expand(len(x), -1, -1), view, residual=before)
        positions = torch.arange(start, start + width, device=x.device).expand(len(x), -1)
        return model.upper(x, residual=residual, positions=positions, cache=view)

    def _residual(self, codes: Tensor | None) -> Tensor | None:
        return None if codes is None else self._model.post_sample(codes)

    def _lower_rows(self, prompts: list[_Tokens]) -> list[_LowerRow]:
        """The lower blocks of each prompt; those not remembered in one pass."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._remembered]
        if new:
            self._remembered |= zip(new, self._compute_lower(new), strict=True)
        rows = [self._remembered[prompt] for prompt in prompts]
        self._to_come.subtract(prompts)
        for prompt in set(prompts):
            if self._to_come[prompt] <= 0:
                del self._remembered[prompt]
        return rows

    def _compute_lower(self, prompts: list[_Tokens]) -> list[_LowerRow]:
        model, start = self._model, self._start
        width = self._width(max(map(len, prompts)))
        tokens = pad_right([prompt[start:] for prompt in prompts], width).to(model.device)
        cache = model.new_cache(len(prompts), start + width, starts=(start, start + width))
        x = model.lower(tokens, cache=cache, prefix=self._lower.kept if self._lower else None)
        rows = []
        for number, prompt in enumerate(prompts):
            layers = [cache.layer(index) for index in range(model.config.middle)]
            own = len(prompt) - start
            kept = tuple(LayerCache(k[number, :, :own], v[number, :, :own]) for k, v in layers)
            rows.append(_LowerRow(kept, x[number, :own]))
        return rows

    def _width(self, length: int) -> int:
        """The padded width of a prompt behind the prefix; no padding goes beyond the cache nor the context."""
        limit = min(self._cache.max_length, self._model.config.context_length)
        return padded_width(length - self._start, limit - self._start)

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


def _last(hidden: Tensor, lengths: list[int]) -> Tensor:
    """Each row's state at its last token: (B, T, D) to (B, D)."""
    last = torch.tensor(lengths, device=hidden.device) - 1
    return hidden[torch.arange(len(lengths), device=hidden.device), last]
