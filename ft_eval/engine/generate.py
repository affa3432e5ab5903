"""Decoding many prompts together: rows of unequal length, each ended and replaced on its own.

    slots 0 .. n−1 are active, n .. N−1 free
    admit    waiting prompts fill the free slots: one right-padded prefill
    step     every active row gets its next token; rows that end hand their slot to the last active row

The noise of a row is drawn when it is admitted, for all its positions, so no row's tokens depend on its neighbours.
Knows no task and no log-likelihood.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ft_eval.engine.latents import LatentSampler
from ft_eval.engine.padding import pad_right, round_up
from ft_eval.engine.requests import BatchLimits, Completion, FinishReason, GenerationRequest
from ft_eval.engine.sampling import sample_token
from ft_eval.engine.stops import StopWatch, cut_at_stop
from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.latent import NO_CODE
from ft_eval.model.noise import Stream, uniforms
from ft_eval.model.tokenizer import Tokenizer

OnCompletion = Callable[[int, Completion], None]
"""Called with the request's index the moment its completion exists."""

_ROW_MULTIPLE = 4
"""Decode batches are padded to a multiple of this: fp32 GEMMs then give a row the same bits in any batch."""


@dataclass(slots=True, kw_only=True)
class Row:
    """One request being decoded. Mutable: it grows by a token a step."""

    index: int
    request: GenerationRequest
    watch: StopWatch
    token_uniforms: Tensor | None
    """(T,) float64, one per position, when the row samples; None when it is greedy."""
    token_ids: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def position(self) -> int:
        """The position of the newest token."""
        return len(self.request.prompt) + len(self.token_ids) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """What decodes: a model, its tokenizer, who draws Z, and what bounds a pass."""

    model: LatentModel
    tokenizer: Tokenizer
    latents: LatentSampler
    limits: BatchLimits


class Generator:
    """Decodes one list of requests, the longest prompt first, and reports each as soon as it is done."""

    def __init__(self, decoder: Decoder, requests: Sequence[GenerationRequest], on_completion: OnCompletion) -> None:
        self._decoder = decoder
        self._model = decoder.model
        self._requests = requests
        self._on_completion = on_completion
        self._waiting = deque(sorted(range(len(requests)), key=lambda index: -len(requests[index].prompt)))
        self._active: list[Row] = []
        self._num_rows = round_up(min(decoder.limits.num_rows, len(requests)), _ROW_MULTIPLE)
        self._device = self._model.device
        longest = max((self._end(request) for request in requests), default=1)
        self._cache = self._model.new_cache(self._num_rows, longest)
        self._codes = torch.full((self._num_rows, longest), NO_CODE, dtype=torch.int64, device=self._device)

    def run(self) -> None:
        """Complete every request."""
        while self._waiting or self._active:
            self._admit()
            self._retire()
            if self._active:
                self._step()
                self._retire()

    def _end(self, request: GenerationRequest) -> int:
        return min(len(request.prompt) + request.params.max_tokens, self._model.config.max_position_embeddings)

    def _admit(self) -> None:
        while self._waiting and len(self._active) < self._num_rows:
            first, batch = len(self._active), self._take_batch()
            started = time.perf_counter()
            self._prefill(first, batch)
            share = (time.perf_counter() - started) / len(batch)
            for sequence in batch:
                sequence.seconds += share

    def _take_batch(self) -> list[Row]:
        batch: list[Row] = []
        width = round_up(len(self._requests[self._waiting[0]].prompt), 8)
        free = self._num_rows - len(self._active)
        while (
            self._waiting
            and len(batch) < free
            and (not batch or (len(batch) + 1) * width <= self._decoder.limits.num_tokens)
        ):
            batch.append(self._open(self._waiting.popleft()))
        return batch

    def _open(self, index: int) -> Row:
        request = self._requests[index]
        sampled = request.params.temperature > 0.0
        noise = uniforms(request.noise, self._end(request), Stream.TOKEN)[:, 0] if sampled else None
        watch = StopWatch(self._decoder.tokenizer, request.params.stop)
        return Row(index=index, request=request, watch=watch, token_uniforms=noise)

    def _prefill(self, first: int, batch: list[Row]) -> None:
        stop = first + len(batch)
        for slot, sequence in enumerate(batch, start=first):
            codes = self._decoder.latents.codes(sequence.request.latent_context, self._end(sequence.request))
            if codes is not None:
                self._codes[slot, : codes.numel()] = codes.to(self._device)
        tokens = pad_right(
            [sequence.request.prompt for sequence in batch],
            width_limit=min(self._codes.shape[1], self._model.config.context_length),
        ).to(self._device)
        codes_in = self._codes[first:stop, : tokens.shape[1]] if self._model.config.latent else None
        hidden = self._model(tokens, codes=codes_in, cache=self._cache.rows(first, stop))
        last = torch.tensor([len(sequence.request.prompt) - 1 for sequence in batch], device=self._device)
        self._active.extend(batch)
        self._append(batch, self._model.logits(hidden[torch.arange(len(batch), device=self._device), last]))

    def _step(self) -> None:
        started = time.perf_counter()
        rows = min(round_up(len(self._active), _ROW_MULTIPLE), self._num_rows)
        idle = rows - len(self._active)
        tokens = torch.tensor([[s.token_ids[-1]] for s in self._active] + [[0]] * idle, device=self._device)
        positions = torch.tensor([[s.position] for s in self._active] + [[0]] * idle, device=self._device)
        codes = self._codes[:rows].gather(1, positions) if self._model.config.latent else None
        hidden = self._model(tokens, codes=codes, positions=positions, cache=self._cache.rows(0, rows))
        self._append(self._active, self._model.logits(hidden[: len(self._active), 0]))
        share = (time.perf_counter() - started) / len(self._active)
        for sequence in self._active:
            sequence.seconds += share

    def _append(self, sequences: Sequence[Row], logits: Tensor) -> None:
        greedy = logits.argmax(dim=-1).tolist()
        for row, sequence in enumerate(sequences):
            token = greedy[row]
            if sequence.token_uniforms is not None:
                uniform = float(sequence.token_uniforms[sequence.position])
                token = sample_token(logits[row].cpu(), sequence.request.params, uniform)
            sequence.token_ids.append(token)

    def _retire(self) -> None:
        """Report the rows that ended and close the gaps from the end, so that active slots stay 0 .. n−1."""
        for slot in reversed(range(len(self._active))):
            reason = self._finish_reason(self._active[slot])
            if reason is None:
                continue
            ended, mover = self._active[slot], self._active.pop()
            if mover is not ended:
                self._active[slot] = mover
                self._cache.move_row(len(self._active), slot, mover.position)
                self._codes[slot] = self._codes[len(self._active)]
            self._on_completion(ended.index, self._complete(ended, reason))

    def _finish_reason(self, sequence: Row) -> FinishReason | None:
        if sequence.token_ids[-1] in self._decoder.tokenizer.eos_ids or sequence.watch.found(sequence.token_ids):
            return FinishReason.STOP
        if len(sequence.request.prompt) + len(sequence.token_ids) >= self._end(sequence.request):
            return FinishReason.LENGTH
        return None

    def _complete(self, sequence: Row, reason: FinishReason) -> Completion:
        token_ids = tuple(sequence.token_ids)
        text = cut_at_stop(self._decoder.tokenizer.decode(list(token_ids)), sequence.request.params.stop)
        return Completion(token_ids=token_ids, text=text, finish_reason=reason, seconds=sequence.seconds)
