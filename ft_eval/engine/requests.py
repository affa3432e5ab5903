"""What the engine is asked and what it answers. Token ids and text only; knows no task."""

from dataclasses import dataclass
from enum import StrEnum

from ft_eval.engine.latents import LatentContext
from ft_eval.errors import UsageError
from ft_eval.model.noise import NoiseKey


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """What bounds one forward pass. Changes speed and memory, no answer."""

    num_rows: int
    num_tokens: int
    """Padding included."""
    num_cached_tokens: int | None = None
    """Positions that the rows of one decoding batch may keep, all together; None where the rows alone are bounded."""


class FinishReason(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    """An end-of-text token or a stop string."""
    LENGTH = "length"
    """max_tokens, or the end of the context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How one completion is decoded.

    Raises:
        UsageError: a value is out of its range.
    """

    max_tokens: int
    temperature: float = 0.0
    """0 decodes greedily; above 0 samples from the softmax of logits / temperature."""
    top_p: float = 1.0
    """Sample from the smallest set of tokens whose probability reaches this, in (0, 1]."""
    top_k: int = 0
    """Sample from the k likeliest tokens; 0 for all."""
    stop: tuple[str, ...] = ()
    """The completion ends before the first of these that it contains."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens is {self.max_tokens}; at least 1 token must be generated")
        if not 0.0 <= self.temperature < float("inf"):
            raise UsageError(f"temperature is {self.temperature}; it must be 0 (greedy) or a positive number")
        if not 0.0 < self.top_p <= 1.0:
            raise UsageError(f"top_p is {self.top_p}; it must be above 0 and at most 1")
        if self.top_k < 0:
            raise UsageError(f"top_k is {self.top_k}; it must be 0 (all tokens) or a positive number")


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """A prompt to complete. It must leave room in the context for at least one token."""

    prompt: tuple[int, ...]
    params: SamplingParams
    noise: NoiseKey
    donor: tuple[int, ...] = ()
    """Another item's prompt, for the shuffled policy."""

    @property
    def latent_context(self) -> LatentContext:
        """What this request's Z may depend on."""
        return LatentContext(noise=self.noise, prompt=self.prompt, donor=self.donor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a model made of a prompt."""

    token_ids: tuple[int, ...]
    """The generated tokens, an ending end-of-text token included."""
    text: str
    """Their text, cut before the first stop string, special tokens left out."""
    finish_reason: FinishReason
    seconds: float
    """This request's share of the wall time of the steps it took part in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRequest:
    """A continuation to score after a context. Both are non-empty and together fit the context plus one."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]
    noise: NoiseKey
    donor: tuple[int, ...] = ()
    """Another item's context, for the shuffled policy."""

    @property
    def latent_context(self) -> LatentContext:
        """What this request's Z may depend on: never the continuation."""
        return LatentContext(noise=self.noise, prompt=self.context, donor=self.donor)

    @property
    def inputs(self) -> tuple[int, ...]:
        """What the model reads: all but the last token.

        >>> context = 0 1 2 3, continuation = 4 5 6
            inputs    0 1 2 3 4 5
            predicts        4 5 6
        """
        return self.context + self.continuation[:-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loglikelihood:
    """log p(continuation | context, Z) in nats, for the Z of the request's noise key."""

    total_nats: float
    num_tokens: int
    is_greedy: bool
    """Whether every token of the continuation is the likeliest one."""
    seconds: float
