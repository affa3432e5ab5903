"""The engine: one model and its tokenizer, asked for completions and log-likelihoods under one latent policy.

It is given token ids and gives back text or nats. It knows no task, no prompt format and no store.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import TypeVar

import torch

from ft_eval.engine.generate import Decoder, generate
from ft_eval.engine.graphs.runner import GraphCompiler
from ft_eval.engine.latents import LatentSampler
from ft_eval.engine.memory import SharedLimits, batch_limits, is_out_of_memory, prefix_bytes
from ft_eval.engine.prefix_store import PrefixStore
from ft_eval.engine.readout import Readout, TorchReadout
from ft_eval.engine.requests import BatchLimits, Completion, GenerationRequest, Loglikelihood, ScoringRequest
from ft_eval.engine.score import Scorer
from ft_eval.engine.steps import StepCompiler
from ft_eval.errors import EngineError, UsageError
from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.tokenizer import Tokenizer
from ft_eval.model.transformer import Transformer
from ft_eval.records import EngineOptions, LatentPolicy

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Engine:
    """Answers requests with one model. Answers don't depend on the batch size, the order or what else is asked.

    Raises:
        UsageError: a latent policy that doesn't fit the model, or a request that doesn't fit its context.
    """

    def __init__(
        self,
        model: LatentModel,
        tokenizer: Tokenizer,
        *,
        latents: LatentPolicy | None,
        options: EngineOptions,
        steps: StepCompiler | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.latents = latents
        self.options = options
        self._sampler = LatentSampler(model, latents)
        self._limits = SharedLimits(batch_limits(model, options))
        self._store: PrefixStore | None = None
        if options.prefix_cache and isinstance(model, Transformer):
            self._store = PrefixStore(model, prefix_bytes(options))
        self.steps = steps
        if steps is None and options.captures_steps and isinstance(model, Transformer):
            self.steps = GraphCompiler.for_model(model)
        self._readout: Readout = TorchReadout() if self.steps is None else self.steps.readout

    def under(self, latents: LatentPolicy | None) -> "Engine":
        """The same model under another latent policy: with the same prefixes, steps and limits."""
        other = copy(self)
        other.latents, other._sampler = latents, LatentSampler(self.model, latents)  # noqa: SLF001 — of the same class
        return other

    @property
    def limits(self) -> BatchLimits:
        """What bounds a pass now; less than at first where memory has run out."""
        return self._limits.now

    @property
    def max_length(self) -> int:
        """The model's context, in tokens."""
        return self.model.config.max_position_embeddings

    @property
    def dtype(self) -> str:
        """The type that is computed in, as torch spells it."""
        return str(self.model.dtype)

    def call(self, function: Callable[["Engine"], T]) -> T:
        """What a function makes of this engine; an engine elsewhere is reached the same way."""
        return function(self)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_completion: Callable[[int, Completion], None],
        *,
        pending: Iterable[int] | None = None,
    ) -> None:
        """Complete each request; `on_completion(index, completion)` is called the moment one is done.

        `pending`: the numbers of those that are still wanted, all by default. How they are computed hangs on all
        requests, so that a rest gives the bits that all at once give.
        """
        for request in requests:
            if not 0 < len(request.prompt) < self.max_length:
                raise UsageError(
                    f"a prompt of {len(request.prompt)} tokens in a context of {self.max_length}; "
                    f"it must have 1 to {self.max_length - 1} tokens"
                )

        def attempt(limits: BatchLimits, wanted: frozenset[int], keep: Callable[[int, Completion], None]) -> None:
            decoder = Decoder(
                model=self.model,
                tokenizer=self.tokenizer,
                latents=self._sampler,
                limits=limits,
                store=self._store,
                steps=self.steps,
                readout=self._readout,
            )
            generate(decoder, requests, wanted, keep)

        self._until_done(attempt, range(len(requests)) if pending is None else pending, on_completion)

    def score(
        self,
        requests: Sequence[ScoringRequest],
        on_score: Callable[[int, Loglikelihood], None],
        *,
        pending: Iterable[int] | None = None,
    ) -> None:
        """Score each request; `on_score(index, loglikelihood)` is called the moment one is done.

        `pending` as in `generate`.
        """
        for request in requests:
            if not request.context or not request.continuation or len(request.inputs) > self.max_length:
                raise UsageError(
                    f"a context of {len(request.context)} and a continuation of {len(request.continuation)} tokens; "
                    f"each needs at least 1, and together at most {self.max_length + 1}"
                )

        def attempt(limits: BatchLimits, wanted: frozenset[int], keep: Callable[[int, Loglikelihood], None]) -> None:
            Scorer(self.model, self._sampler, limits, self._store, self._readout).run(requests, wanted, keep)

        self._until_done(attempt, range(len(requests)) if pending is None else pending, on_score)

    def _until_done(
        self,
        attempt: Callable[[BatchLimits, frozenset[int], Callable[[int, T], None]], None],
        pending: Iterable[int],
        on_answer: Callable[[int, T], None],
    ) -> None:
        """Ask for what is pending; where memory runs out, for the rest of it in batches of half the size.

        The prefixes that were kept go first: they are computed again where they are wanted again.

        Raises:
            EngineError: not even a batch of one row fits.
        """
        left = set(pending)

        def keep(index: int, answer: T) -> None:
            left.discard(index)
            on_answer(index, answer)

        while left:
            try:
                with torch.inference_mode():
                    attempt(self._limits.now, frozenset(left), keep)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self._store is not None:
                    self._store.clear()
                if not self._limits.halve():
                    said = str(error).splitlines()[0]
                    raise EngineError(
                        f"out of memory on {self.options.device} with a batch of one row: {said}; use a smaller "
                        "checkpoint, --dtype bfloat16 or a device with more memory"
                    ) from error
                logger.warning("out of memory: going on with a batch of %d rows", self._limits.now.num_rows)

    def complete(self, request: GenerationRequest) -> Completion:
        """One completion, alone."""
        found: list[Completion] = []
        self.generate([request], lambda _, completion: found.append(completion))
        return found[0]

    def loglikelihood(self, request: ScoringRequest) -> Loglikelihood:
        """One log-likelihood, alone."""
        found: list[Loglikelihood] = []
        self.score([request], lambda _, score: found.append(score))
        return found[0]
