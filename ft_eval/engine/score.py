"""Log-likelihoods of many continuations: one forward pass per distinct input, logits only where a score needs them.

Requests whose inputs and noise are the same (the four one-letter choices of a question) share one row. Log-softmax is
in fp32, the sum over a continuation in fp64. Knows no task.
"""

import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ft_eval.engine.latents import LatentContext, LatentSampler
from ft_eval.engine.padding import WIDTH_MULTIPLE, pad_right, round_up
from ft_eval.engine.requests import BatchLimits, Loglikelihood, ScoringRequest
from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.latent import NO_CODE

OnScore = Callable[[int, Loglikelihood], None]
"""Called with the request's index the moment its score exists."""

_MAX_LOGITS = 2**25
"""Logits held at once, in numbers; log-softmax runs over slices of this size."""

_Row = tuple[tuple[int, ...], LatentContext]
"""A distinct input and what its Z may depend on."""


class Scorer:
    """Scores requests with one model."""

    def __init__(self, model: LatentModel, latents: LatentSampler, limits: BatchLimits) -> None:
        self._model = model
        self._latents = latents
        self._limits = limits
        self._device = model.device

    def run(self, requests: Sequence[ScoringRequest], on_score: OnScore) -> None:
        """Score every request, the longest input first, and report each as soon as it is done."""
        sharing: dict[_Row, list[int]] = {}
        for index, request in enumerate(requests):
            sharing.setdefault((request.inputs, request.latent_context), []).append(index)
        for rows in self._batches(sorted(sharing, key=lambda row: (-len(row[0]), row[0]))):
            started = time.perf_counter()
            hidden = self._forward(rows)
            indices = [index for row in rows for index in sharing[row]]
            scores = [
                self._score(hidden[number], requests[index])
                for number, row in enumerate(rows)
                for index in sharing[row]
            ]
            seconds = (time.perf_counter() - started) / len(indices)
            for index, (total, is_greedy) in zip(indices, scores, strict=True):
                num_tokens = len(requests[index].continuation)
                on_score(
                    index, Loglikelihood(total_nats=total, num_tokens=num_tokens, is_greedy=is_greedy, seconds=seconds)
                )

    def _batches(self, rows: Sequence[_Row]) -> Iterator[list[_Row]]:
        batch: list[_Row] = []
        for row in rows:
            width = round_up(len((batch or [row])[0][0]), WIDTH_MULTIPLE)
            if batch and (len(batch) == self._limits.num_rows or (len(batch) + 1) * width > self._limits.num_tokens):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def _forward(self, rows: Sequence[_Row]) -> Tensor:
        tokens = pad_right([inputs for inputs, _ in rows], width_limit=self._model.config.context_length)
        codes = None
        if self._model.config.latent:
            codes = torch.full_like(tokens, NO_CODE)
            for number, (inputs, context) in enumerate(rows):
                drawn = self._latents.codes(context, len(inputs))
                assert drawn is not None, "a latent model has codes"
                codes[number, : len(inputs)] = drawn
            codes = codes.to(self._device)
        hidden: Tensor = self._model(tokens.to(self._device), codes=codes)
        return hidden

    def _score(self, hidden: Tensor, request: ScoringRequest) -> tuple[float, bool]:
        """Sum of log p over the continuation, and whether it is the greedy one, from one row's (T, D) hidden states."""
        num_inputs, num_scored = len(request.inputs), len(request.continuation)
        targets = torch.tensor(request.continuation, device=self._device)
        rows = hidden[num_inputs - num_scored : num_inputs]
        total, is_greedy = 0.0, True
        step = max(1, _MAX_LOGITS // self._model.config.vocab_size)
        for start in range(0, num_scored, step):
            logits = self._model.logits(rows[start : start + step]).float()
            wanted = targets[start : start + step, None]
            total += float(torch.log_softmax(logits, dim=-1).gather(1, wanted).double().sum())
            is_greedy = is_greedy and bool((logits.argmax(dim=-1) == wanted[:, 0]).all())
        return total, is_greedy
