"""Log-likelihoods of many continuations: shared tokens are computed once, logits only where a score needs them.

    prefix ─▶ rows (an item's context and branches) ─▶ lower, once ─▶ upper, once per draw of Z ─▶ scored positions

A batch holds rows of one padded width, so a row's bits don't depend on its neighbours. Log-softmax is in fp32, the sum
over a continuation in fp64. Knows no task.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ft_eval.engine.latents import LatentSampler
from ft_eval.engine.padding import pad_right, padded_width
from ft_eval.engine.prefix_store import PrefixStore
from ft_eval.engine.prefixes import NO_PREFIX, Path, PrefixGroup, group_by_prefix
from ft_eval.engine.readout import Readout
from ft_eval.engine.requests import BatchLimits, Loglikelihood, ScoringRequest
from ft_eval.engine.rows import Draw, Row, make_rows
from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.cache import Prefix
from ft_eval.model.latent import NO_CODE
from ft_eval.model.layers import rows_at

OnScore = Callable[[int, Loglikelihood], None]
"""Called with the request's index the moment its score exists."""

_MAX_LOGITS, _MAX_LOGITS_ON_CPU = 2**25, 2**22
"""Logits held at once, in numbers; log-softmax runs over slices of this size. Few stay in a CPU's cache until then."""
_MIN_SAVED_TOKENS = 128
"""What a prefix must spare to be worth batches of its own."""
_MIN_ROWS = 16
"""Fewer rows than this take other matrix kernels, with other last bits."""
_Job = tuple[int, Draw]
"""A row's number in its batch, and a draw for it."""


_Asked = dict[int, int]
"""Which of a row's tokens are asked for, and where among them each stands."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows of one padded width behind one prefix, and what the lower blocks made of them."""

    rows: list[Row]
    prefix: Path
    positions: Tensor
    """(B, T)."""
    visible: Tensor | None
    """(B, T, T); None where all rows are chains and nothing is before them."""
    x: Tensor
    """(B, T, D)."""

    @property
    def width(self) -> int:
        """T."""
        return self.positions.shape[1]


class Scorer:
    """Scores requests with one model.

    Args:
        model: any.
        latents: who draws Z.
        limits: of a forward pass.
        store: keeps prefixes; None where the model can't share them, and every input then has a row of its own.
        readout: what reads logits.
    """

    def __init__(
        self,
        model: LatentModel,
        latents: LatentSampler,
        limits: BatchLimits,
        store: PrefixStore | None,
        readout: Readout,
    ) -> None:
        self._model = model
        self._latents = latents
        self._limits = limits
        self._store = store
        self._readout = readout
        self._device = model.device

    def run(self, requests: Sequence[ScoringRequest], pending: frozenset[int], on_score: OnScore) -> None:
        """Score the pending requests, and report each as soon as it is done.

        How they are computed hangs on all requests, so the rest scored later gives the bits of all scored at once.
        """
        for group in self._groups(requests):
            rows = make_rows(requests, group.members, pending, start=len(group.prefix), packs=self._store is not None)
            for batch_rows in self._batches(rows):
                started = time.perf_counter()
                batch = self._below(batch_rows, group.prefix)
                for jobs in self._portions(batch):
                    asked = [_asked(batch.rows[number], draw) for number, draw in jobs]
                    scores = self._score(self._above(batch, jobs, asked), batch.rows, jobs, asked)
                    seconds = (time.perf_counter() - started) / len(scores)
                    for index, (total, is_greedy) in scores.items():
                        num_tokens = len(requests[index].continuation)
                        on_score(
                            index,
                            Loglikelihood(
                                total_nats=total, num_tokens=num_tokens, is_greedy=is_greedy, seconds=seconds
                            ),
                        )
                    started = time.perf_counter()

    def _groups(self, requests: Sequence[ScoringRequest]) -> list[PrefixGroup]:
        if self._store is None:
            return [PrefixGroup(prefix=NO_PREFIX, members=tuple(range(len(requests))))]
        return group_by_prefix([request.context for request in requests], min_saved_tokens=_MIN_SAVED_TOKENS)

    def _batches(self, rows: list[Row]) -> Iterator[list[Row]]:
        by_width: dict[tuple[int, bool], list[Row]] = {}
        for row in rows:
            by_width.setdefault((self._padded(row.num_tokens), row.is_chain), []).append(row)
        for (width, _), alike in sorted(by_width.items(), reverse=True):
            size = max(1, min(self._limits.num_rows, self._limits.num_tokens // width))
            yield from (alike[start : start + size] for start in range(0, len(alike), size))

    def _padded(self, num_tokens: int) -> int:
        """The width of a row; no padding goes beyond the model's context."""
        return padded_width(num_tokens, self._model.config.context_length)

    def _below(self, rows: list[Row], prefix: Path) -> _Batch:
        """The lower blocks, which see no Z."""
        width = self._padded(max(row.num_tokens for row in rows))
        tokens = pad_right([row.token_ids for row in rows], width).to(self._device)
        positions = pad_right([row.positions for row in rows], width).to(self._device)
        if self._store is None or (not prefix and rows[0].is_chain):
            return _Batch(rows, prefix, positions, None, self._model.lower(tokens))
        visible = torch.stack([row.visible(tokens.shape[1]) for row in rows]).to(self._device)
        kept = self._store.lower(prefix).kept if prefix else None
        x = self._store.model.lower(tokens, positions=positions, prefix=kept, visible=visible)
        return _Batch(rows, prefix, positions, visible, x)

    def _portions(self, batch: _Batch) -> Iterator[list[_Job]]:
        """Rows and draws that go through the upper blocks together: where they share a prefix's Z, of one draw."""
        by_draw: dict[int, list[_Job]] = {}
        shares = not batch.prefix or self._latents.shares_prefixes
        for number, row in enumerate(batch.rows):
            for draw in row.draws:
                group = draw.latent_context.noise.draw if batch.prefix and shares else 0
                by_draw.setdefault(group, []).append((number, draw))
        width = batch.width + (0 if shares else len(batch.prefix))
        size = max(1, min(self._limits.num_rows, self._limits.num_tokens // width))
        for jobs in by_draw.values():
            yield from (jobs[start : start + size] for start in range(0, len(jobs), size))

    def _above(self, batch: _Batch, jobs: list[_Job], asked: list[_Asked]) -> Tensor:
        """The upper blocks: hidden states (jobs, Q, D) of the tokens that are asked for, padded with others."""
        chosen = torch.tensor([number for number, _ in jobs], device=self._device)
        wanted = pad_right([list(places) for places in asked], max(map(len, asked))).to(self._device)
        residual, prefix = self._residual(batch, jobs)
        x = batch.x[chosen]
        if self._store is None:
            return rows_at(self._model.upper(x, residual=residual), wanted)
        if batch.visible is None:
            return self._store.model.upper(x, residual=residual, wanted=wanted)
        return self._store.model.upper(
            x,
            residual=residual,
            positions=batch.positions[chosen],
            prefix=prefix,
            visible=batch.visible[chosen],
            wanted=wanted,
        )

    def _residual(self, batch: _Batch, jobs: list[_Job]) -> tuple[Tensor | None, Prefix | None]:
        """R of each row (jobs, T, D), and the prefix under its own Z."""
        start = len(batch.prefix)
        drawn = [self._latents.codes(draw.latent_context, batch.rows[number].num_positions) for number, draw in jobs]
        if drawn[0] is None:
            return None, self._store.upper(batch.prefix, None) if self._store and start else None
        codes = torch.full((len(jobs), batch.width), NO_CODE, dtype=torch.int64)
        for place, ((number, _), found) in enumerate(zip(jobs, drawn, strict=True)):
            row = batch.rows[number]
            assert found is not None, "a latent model has codes"
            codes[place, : row.num_tokens] = found[torch.tensor(row.positions)]
        residual = self._model.post_sample(codes.to(self._device))
        if not self._store or not start:
            return residual, None
        before = torch.stack([found[:start] for found in drawn if found is not None])
        if self._latents.shares_prefixes:
            return residual, self._store.upper(batch.prefix, before[0])
        return residual, self._store.upper_rows(self._store.lower(batch.prefix), before)

    def _score(
        self, hidden: Tensor, rows: list[Row], jobs: list[_Job], asked: list[_Asked]
    ) -> dict[int, tuple[float, bool]]:
        """Per request, the sum of log p over its continuation, and whether it is the greedy one."""
        places: dict[tuple[int, int], int] = {}
        wanted: list[tuple[int, int]] = []  # (place, token), request by request
        spans: dict[int, slice] = {}
        for job, (number, draw) in enumerate(jobs):
            for target_number, index in draw.requests:
                target, first = rows[number].targets[target_number], len(wanted)
                for at, token in zip(target.inputs, target.continuation, strict=True):
                    wanted.append((places.setdefault((job, asked[job][at]), len(places)), token))
                spans[index] = slice(first, len(wanted))
        logprobs, is_likeliest = self._logprobs(hidden, list(places), wanted)
        return {
            index: (float(logprobs[span].double().sum()), bool(is_likeliest[span].all()))
            for index, span in spans.items()
        }

    def _logprobs(
        self, hidden: Tensor, places: list[tuple[int, int]], wanted: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """Per wanted (place, token): log p in nats, fp32, and whether the token is the likeliest; on the CPU."""
        at = torch.tensor(places + places[-1:] * (_MIN_ROWS - len(places)), device=self._device)
        states = hidden[at[:, 0], at[:, 1]]
        place, token = torch.tensor(wanted, device=self._device).unbind(1)
        logprobs = torch.empty(len(wanted), device=self._device)
        is_likeliest = torch.empty_like(token, dtype=torch.bool)
        most = _MAX_LOGITS_ON_CPU if self._device.type == "cpu" else _MAX_LOGITS
        step = max(_MIN_ROWS, most // self._model.config.vocab_size)
        for start in range(0, max(1, len(places)), step):
            stop = min(len(states), start + step)
            first = max(0, min(start, stop - _MIN_ROWS))
            here = (place >= start) & (place < stop)
            logits = self._model.logits(states[first:stop])
            logprobs[here], is_likeliest[here] = self._readout.log_softmax_at(logits, place[here] - first, token[here])
        return logprobs.cpu(), is_likeliest.cpu()


def _asked(row: Row, draw: Draw) -> _Asked:
    places = dict.fromkeys(at for number, _ in draw.requests for at in row.targets[number].inputs)
    return {at: number for number, at in enumerate(places)}
