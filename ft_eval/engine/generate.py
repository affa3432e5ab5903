"""Decoding many prompts together: rows of unequal length, each ended and replaced on its own.

    slots 0 .. n−1 are active, n .. N−1 free
    admit    waiting prompts fill the free slots, those of one padded width together, in passes of bounded length
    step     every active row gets its next token; rows that end hand their slot to the last active row

Rows that are under way when others are admitted get a token between any two passes of these.

The noise of a row is drawn when it is admitted, for all its positions, so no row's tokens depend on its neighbours.
Knows no task and no log-likelihood.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from ft_eval.engine.latents import LatentSampler
from ft_eval.engine.memory import rows_that_fit
from ft_eval.engine.padding import ROW_MULTIPLE, WIDTH_MULTIPLE, round_up
from ft_eval.engine.prefill import Seat
from ft_eval.engine.prefix_store import PrefixStore
from ft_eval.engine.prefixes import NO_PREFIX, Path, PrefixGroup, group_by_prefix
from ft_eval.engine.readout import Readout
from ft_eval.engine.requests import BatchLimits, Completion, FinishReason, GenerationRequest
from ft_eval.engine.sampling import sample_token
from ft_eval.engine.slots import PlainSlots, SharingSlots, Slots
from ft_eval.engine.steps import StepCompiler
from ft_eval.engine.stops import StopWatch, cut_at_stop
from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.noise import Stream, uniforms
from ft_eval.model.tokenizer import Tokenizer

_MIN_SAVED_TOKENS = 256
"""What a prefix must spare to be worth batches of its own: fewer rows are then decoded together."""
OnCompletion = Callable[[int, Completion], None]
"""Called with the request's index the moment its completion exists."""


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
    """What decodes: a model, its tokenizer, who draws Z, what bounds a pass, and what keeps prefixes."""

    model: LatentModel
    tokenizer: Tokenizer
    latents: LatentSampler
    limits: BatchLimits
    store: PrefixStore | None
    """None where the model can't share prefixes."""
    readout: Readout
    """What reads logits."""
    steps: StepCompiler | None = None
    """What decodes a token more per row; None for the model's own forward pass."""


def generate(
    decoder: Decoder,
    requests: Sequence[GenerationRequest],
    pending: frozenset[int],
    on_completion: OnCompletion,
) -> None:
    """Complete the pending requests, those behind one prefix together, and report each as soon as it is done.

    How they are computed hangs on all requests: the rest completed later gives what all completed at once give.
    """
    groups = [PrefixGroup(prefix=NO_PREFIX, members=tuple(range(len(requests))))]
    if decoder.store is not None:
        groups = group_by_prefix([request.prompt for request in requests], min_saved_tokens=_MIN_SAVED_TOKENS)
    for group in groups:
        by_draw: dict[int, list[int]] = {}
        for index in group.members:
            if index in pending:  # with a prefix whose Z is shared, the sequences of one draw go together
                draw = requests[index].noise.draw if group.prefix and decoder.latents.shares_prefixes else 0
                by_draw.setdefault(draw, []).append(index)
        for members in by_draw.values():
            Generator(decoder, group.prefix, {index: requests[index] for index in members}, on_completion).run()


class Generator:
    """Decodes requests behind one prefix, the longest prompt first, and reports each as soon as it is done."""

    def __init__(
        self,
        decoder: Decoder,
        prefix: Path,
        requests: Mapping[int, GenerationRequest],
        on_completion: OnCompletion,
    ) -> None:
        self._decoder = decoder
        self._model = decoder.model
        self._start = len(prefix)
        self._requests = requests
        self._on_completion = on_completion
        self._waiting = deque(
            sorted(requests, key=lambda index: (-len(requests[index].prompt), requests[index].prompt, index))
        )
        self._active: list[Row] = []
        longest = max(self._end(request) for request in requests.values())
        own = longest - (self._start if decoder.latents.shares_prefixes else self._start // 2)
        self._num_rows = round_up(min(rows_that_fit(decoder.limits, own), len(requests)), ROW_MULTIPLE)
        self._device = self._model.device
        self._slots = self._open_slots(prefix, (self._num_rows, longest))

    def _open_slots(self, prefix: Path, shape: tuple[int, int]) -> Slots:
        decoder = self._decoder
        if decoder.store is None:
            return PlainSlots(decoder.model, *shape)
        shares_upper = not prefix or decoder.latents.shares_prefixes
        first = self._requests[self._waiting[0]]
        slots = SharingSlots(
            decoder.store,
            prefix,
            decoder.latents.codes(first.latent_context, len(prefix)) if prefix and shares_upper else None,
            shares_upper=shares_upper,
            prompts=[self._requests[index].prompt for index in self._waiting],
            shape=shape,
        )
        if decoder.steps is not None:
            slots.compile(decoder.steps)
        return slots

    def run(self) -> None:
        """Complete every request."""
        while self._waiting or self._active:
            self._admit()
            self._advance()

    def _advance(self) -> None:
        """One token more for every row."""
        self._retire()
        if self._active:
            self._step()
            self._retire()

    def _end(self, request: GenerationRequest) -> int:
        return min(len(request.prompt) + request.params.max_tokens, self._model.config.max_position_embeddings)

    def _admit(self) -> None:
        """Fill the free slots; rows that are under way go on meanwhile, while a first batch is put together whole."""
        is_under_way, num_batches = bool(self._active), 0
        while self._waiting and len(self._active) < self._num_rows:
            if is_under_way and num_batches:
                self._advance()
            self._prefill(self._take_batch(), self._advance if is_under_way else lambda: None)
            num_batches += 1

    def _take_batch(self) -> list[Row]:
        """The waiting prompts that go in next: as many as there is room for, of one padded width."""
        batch: list[Row] = []
        width = self._width(self._waiting[0])
        room = min(self._num_rows - len(self._active), max(1, self._decoder.limits.num_tokens // width))
        while self._waiting and len(batch) < room and self._width(self._waiting[0]) == width:
            batch.append(self._open(self._waiting.popleft()))
        return batch

    def _width(self, index: int) -> int:
        return round_up(len(self._requests[index].prompt) - self._start, WIDTH_MULTIPLE)

    def _open(self, index: int) -> Row:
        request = self._requests[index]
        sampled = request.params.temperature > 0.0
        noise = uniforms(request.noise, self._end(request), Stream.TOKEN)[:, 0] if sampled else None
        watch = StopWatch(self._decoder.tokenizer, request.params.stop)
        return Row(index=index, request=request, watch=watch, token_uniforms=noise)

    def _prefill(self, batch: list[Row], between: Callable[[], None]) -> None:
        """Compute prompts and make them active; `between` is called between passes."""
        seats = [
            Seat(row.request.prompt, self._decoder.latents.codes(row.request.latent_context, self._end(row.request)))
            for row in batch
        ]
        seconds, started = 0.0, time.perf_counter()
        for hidden in self._slots.prefill(seats, lambda: len(self._active)):
            if hidden is not None:
                self._active.extend(batch)
                self._append(batch, self._logits(hidden))
            seconds += time.perf_counter() - started
            if hidden is None:
                between()
            started = time.perf_counter()
        for sequence in batch:
            sequence.seconds += seconds / len(batch)

    def _logits(self, hidden: Tensor) -> Tensor:
        """(B, D) to (B, V), by the kernel that many rows take: with few, the last bits would differ."""
        padded = F.pad(hidden, (0, 0, 0, -len(hidden) % self._slots.row_multiple))
        return self._model.logits(padded)[: len(hidden)]

    def _step(self) -> None:
        started = time.perf_counter()
        rows = min(round_up(len(self._active), self._slots.row_multiple), self._num_rows)
        idle = rows - len(self._active)
        at_rest = self._start  # an idle slot's token goes behind the prefix, where the next prompt will begin
        tokens = torch.tensor([[s.token_ids[-1]] for s in self._active] + [[0]] * idle, device=self._device)
        positions = torch.tensor([[s.position] for s in self._active] + [[at_rest]] * idle, device=self._device)
        hidden = self._slots.step(tokens, positions)
        self._append(self._active, self._logits(hidden[: len(self._active), 0]))
        share = (time.perf_counter() - started) / len(self._active)
        for sequence in self._active:
            sequence.seconds += share

    def _append(self, sequences: Sequence[Row], logits: Tensor) -> None:
        greedy = self._decoder.readout.likeliest(logits).tolist()
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
                self._slots.move(len(self._active), slot, mover.position)
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
