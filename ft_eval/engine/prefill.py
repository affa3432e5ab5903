"""Prompts computed behind one prefix, pass by pass, so that sequences under decoding can go on in between.

    prefix | c c c c c c c c | c c c c c c c c | c c c      lower, once per prompt
           | c c c c c c c c | c c c c c c c c | c c c      upper, once per draw of Z

A prompt is cut at fixed places behind its prefix: where hangs on positions alone, so its bits do not depend on what
else is being decoded. It is computed beside the slots, and taken to one when it is whole. Knows no request and no slot.
"""

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ft_eval.engine.padding import pad_right, padded_width, spans
from ft_eval.engine.prefix_store import LowerPrefix
from ft_eval.model.cache import KVCache, LayerCache, Prefix
from ft_eval.model.latent import NO_CODE
from ft_eval.model.transformer import Transformer

_Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Seat:
    """A sequence that comes to a slot."""

    prompt: _Tokens
    codes: Tensor | None
    """Of all its positions to come, (n,) int64; None for a baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What prompts stand on."""

    model: Transformer
    start: int
    """The prefix's length."""
    limit: int
    """The longest sequence."""
    lower: LowerPrefix | None
    """The prefix in the lower blocks; None where there is none."""
    upper: Prefix | None
    """The same in the upper blocks; None where each sequence has its own Z there."""

    @property
    def upper_start(self) -> int:
        """Where the upper blocks' own keys begin."""
        return self.start if self.lower is None or self.upper is not None else 0

    def width(self, prompts: Sequence[_Tokens]) -> int:
        """The padded width of prompts behind the prefix; no padding goes beyond the limit."""
        return padded_width(max(map(len, prompts)) - self.start, self.limit - self.start)

    def positions(self, span: slice, start: int) -> Tensor | None:
        """Of a piece behind a start, (1, T); None for the first piece, which begins there."""
        if not span.start:
            return None
        return torch.arange(start + span.start, start + span.stop, device=self.model.device)[None]


@dataclass(frozen=True, slots=True)
class LowerRow:
    """A prompt behind its prefix, in the lower blocks."""

    layers: tuple[LayerCache, ...]
    """(G, T, d) each."""
    x: Tensor
    """(T, D)."""


class LowerRows:
    """Prompts in the lower blocks: those that come again, once per draw of Z, are remembered until they have."""

    def __init__(self, ground: Ground, prompts: Sequence[_Tokens]) -> None:
        self._ground = ground
        self._to_come = Counter(prompts)
        self._remembered: dict[_Tokens, LowerRow] = {}

    def take(self, prompts: list[_Tokens]) -> Generator[None, None, list[LowerRow]]:
        """The rows of these prompts, those not remembered computed together; yields between passes."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._remembered]
        if new:
            computed = yield from self._compute(new)
            self._remembered |= zip(new, computed, strict=True)
        rows = [self._remembered[prompt] for prompt in prompts]
        self._to_come.subtract(prompts)
        for prompt in set(prompts):
            if self._to_come[prompt] <= 0:
                del self._remembered[prompt]
        return rows

    def _compute(self, prompts: list[_Tokens]) -> Generator[None, None, list[LowerRow]]:
        ground, model, start = self._ground, self._ground.model, self._ground.start
        width = ground.width(prompts)
        tokens = pad_right([prompt[start:] for prompt in prompts], width).to(model.device)
        cache = model.new_cache(len(prompts), start + width, starts=(start, start + width))
        prefix, pieces = ground.lower.kept if ground.lower else None, []
        for span in spans(width):
            if span.start:
                yield
            positions = ground.positions(span, start)
            pieces.append(model.lower(tokens[:, span], positions=positions, cache=cache, prefix=prefix))
        x = torch.cat(pieces, dim=1) if len(pieces) > 1 else pieces[0]
        rows = []
        for number, prompt in enumerate(prompts):
            own = len(prompt) - start
            layers = (cache.layer(index) for index in range(model.config.middle))
            kept = tuple(LayerCache(k[number, :, :own], v[number, :, :own]) for k, v in layers)
            rows.append(LowerRow(kept, x[number, :own]))
        return rows


def upper_rows(
    ground: Ground, rows: Sequence[LowerRow], seats: Sequence[Seat]
) -> Generator[None, None, tuple[KVCache, Tensor]]:
    """The upper blocks on rows, each with its seat's Z; yields between passes.

    Returns:
        Their keys and values, and the hidden states of their last tokens, (seats, D).
    """
    model, start, prompts = ground.model, ground.start, [seat.prompt for seat in seats]
    width, lengths = ground.width(prompts), torch.tensor([len(prompt) - start for prompt in prompts])
    cache = model.new_cache(len(seats), start + width, starts=(start + width, ground.upper_start))
    codes = _codes(seats, start + width)
    if ground.upper_start < start:
        yield from _own_prefix(ground, cache, codes)
    x, last = _padded([row.x for row in rows], width), list[Tensor]()
    for span in spans(width):
        if span.start:
            yield
        behind = slice(start + span.start, start + span.stop)
        positions = ground.positions(span, start)
        if positions is None and ground.upper_start < start:
            positions = torch.arange(behind.start, behind.stop, device=x.device)[None]
        residual = _residual(model, codes, behind)
        inside = (lengths - 1 - span.start).clamp(0, span.stop - span.start - 1).to(x.device)  # the nearest, if outside
        hidden = model.upper(
            x[:, span],
            residual=residual,
            positions=positions,
            cache=cache,
            prefix=ground.upper,
            wanted=inside[:, None],
        )
        last.append(hidden[:, 0])
    owner = torch.tensor([sum(span.start < n for span in spans(width)) - 1 for n in lengths.tolist()])
    return cache, torch.stack(last)[owner.to(x.device), torch.arange(len(seats), device=x.device)]


def _own_prefix(ground: Ground, cache: KVCache, codes: Tensor | None) -> Generator[None]:
    """The prefix in the upper blocks, for each row with its own Z."""
    assert ground.lower is not None, "a prefix of one's own is one that the lower blocks share"
    for span in spans(ground.start):
        x = ground.lower.x[:, span].expand(cache.num_rows, -1, -1)
        residual = _residual(ground.model, codes, span)
        ground.model.remember(x, cache, residual=residual, positions=ground.positions(span, 0))
        yield


def _residual(model: Transformer, codes: Tensor | None, span: slice) -> Tensor | None:
    return None if codes is None else model.post_sample(codes[:, span].to(model.device))


def _codes(seats: Sequence[Seat], num_positions: int) -> Tensor | None:
    """Z of the seats' positions, (seats, P) int64; none beyond what a seat has."""
    if seats[0].codes is None:
        return None
    codes = torch.full((len(seats), num_positions), NO_CODE, dtype=torch.int64)
    for row, seat in zip(codes, seats, strict=True):
        if seat.codes is not None:
            known = min(num_positions, seat.codes.numel())
            row[:known] = seat.codes[:known]
    return codes


def _padded(rows: Sequence[Tensor], width: int) -> Tensor:
    """(T, D) each, as (B, width, D)."""
    padded = rows[0].new_zeros(len(rows), width, rows[0].shape[1])
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return padded
