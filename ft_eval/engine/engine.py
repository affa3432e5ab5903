"""The engine: one model and its tokenizer, asked for completions and log-likelihoods under one latent policy.

It is given token ids and gives back text or nats. It knows no task, no prompt format and no store.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ft_eval.engine.generate import Decoder, Generator
from ft_eval.engine.latents import LatentSampler
from ft_eval.engine.requests import BatchLimits, Completion, GenerationRequest, Loglikelihood, ScoringRequest
from ft_eval.engine.score import Scorer
from ft_eval.errors import UsageError
from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.tokenizer import Tokenizer
from ft_eval.records import EngineOptions, LatentPolicy

_LIMITS_ON_CPU = BatchLimits(num_rows=16, num_tokens=4096)
_LIMITS_ON_GPU = BatchLimits(num_rows=64, num_tokens=32768)


class Engine:
    """Answers requests with one model. Answers don't depend on the batch size, the order or what else is asked.

    Raises:
        UsageError: a latent policy that doesn't fit the model, or a request that doesn't fit its context.
    """

    def __init__(
        self, model: LatentModel, tokenizer: Tokenizer, *, latents: LatentPolicy | None, options: EngineOptions
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.latents = latents
        self.options = options
        self._sampler = LatentSampler(model, latents)
        default = _LIMITS_ON_CPU if options.device == "cpu" else _LIMITS_ON_GPU
        self._limits = replace(default, num_rows=options.batch_size or default.num_rows)

    def under(self, latents: LatentPolicy | None) -> "Engine":
        """The same model under another latent policy."""
        return Engine(self.model, self.tokenizer, latents=latents, options=self.options)

    @property
    def max_length(self) -> int:
        """The model's context, in tokens."""
        return self.model.config.max_position_embeddings

    def generate(self, requests: Sequence[GenerationRequest], on_completion: Callable[[int, Completion], None]) -> None:
        """Complete each request; `on_completion(index, completion)` is called the moment one is done."""
        for request in requests:
            if not 0 < len(request.prompt) < self.max_length:
                raise UsageError(
                    f"a prompt of {len(request.prompt)} tokens in a context of {self.max_length}; "
                    f"it must have 1 to {self.max_length - 1} tokens"
                )
        decoder = Decoder(model=self.model, tokenizer=self.tokenizer, latents=self._sampler, limits=self._limits)
        with torch.inference_mode():
            Generator(decoder, requests, on_completion).run()

    def score(self, requests: Sequence[ScoringRequest], on_score: Callable[[int, Loglikelihood], None]) -> None:
        """Score each request; `on_score(index, loglikelihood)` is called the moment one is done."""
        for request in requests:
            if not request.context or not request.continuation or len(request.inputs) > self.max_length:
                raise UsageError(
                    f"a context of {len(request.context)} and a continuation of {len(request.continuation)} tokens; "
                    f"each needs at least 1, and together at most {self.max_length + 1}"
                )
        with torch.inference_mode():
            Scorer(self.model, self._sampler, self._limits).run(requests, on_score)

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
