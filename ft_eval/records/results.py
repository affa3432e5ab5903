"""What was done: answers, samples, results. Computes nothing but a rate."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The engine's answer to one request, as it is logged the moment it exists."""

    key: str
    """Identity of the request within its job: kind, arguments, item and draw."""
    text: str | None = None
    """The completion, cut at its stop string; None for a log-likelihood."""
    logprob_nats: float | None = None
    """log p(continuation | context); None for a completion."""
    is_greedy: bool | None = None
    """Whether greedy decoding would have given this continuation; None for a completion."""
    num_prompt_tokens: int = 0
    num_generated_tokens: int = 0
    num_truncated_tokens: int = 0
    """Tokens cut off the left of the prompt because the context was full; 0 when nothing was cut."""
    seconds: float = 0.0
    """This request's share of the wall time spent on its batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleResult:
    """One scored document under one draw."""

    job_id: str
    doc_id: int
    draw: int = 0
    doc_hash: str
    prompt_hash: str
    target_hash: str
    prompt: str
    """The prompt as the model got it before truncation (for two-context tasks such as WinoGrande, the first)."""
    target: str
    responses: tuple[str, ...] = ()
    """Completions (generation), or the choices' texts (multiple choice), in order."""
    logprobs_nats: tuple[float, ...] = ()
    """Per choice, log p(choice | prompt), averaged over the draws of Z; empty for generation."""
    logprob_stderrs_nats: tuple[float, ...] = ()
    """Per choice, the Monte Carlo standard error of that average; empty where there is one draw, or none."""
    effective_sample_sizes: tuple[float, ...] = ()
    """Per choice, how many of the draws carry its average, 1 to num_draws; empty like the errors."""
    num_draws: int = 1
    """Draws of Z behind these log-likelihoods; a completion is of one draw."""
    may_flip: bool | None = None
    """Whether other draws might choose another answer: the best two are within the Monte Carlo error. None where there
    is one draw, or no choice."""
    metrics: Mapping[str, float]
    """Per metric in our spelling, this document's score."""
    num_prompt_tokens: int = 0
    num_generated_tokens: int = 0
    num_truncated_tokens: int = 0
    seconds: float = 0.0
    error: str | None = None
    """Why this document could not be scored; it is kept and counted, never dropped."""
    details: Mapping[str, str] = field(default_factory=dict)
    """What a scorer has to say, such as the sandbox's outcome per test set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptUsage:
    """What a latent checkpoint's encoder says about a job's prompts, each encoded alone, no answer in sight."""

    kl_bits: float
    """Mean KL of the posterior from the uniform prior, in bits per token."""
    information_bits: float
    """The part of it that differs from prompt to prompt, in bits per token."""
    num_tokens: int
    num_prompts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Some of a job's requests, asked again alone and with nothing shared: what the batch changed."""

    num_requests: int
    num_changed: int
    """Other texts, or continuations that are the greedy one in one of the two alone."""
    largest_gap_nats: float
    """The largest |Δ log p| of a continuation; 0 where there are completions alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """A finished job: its scores and what they cost. A job is done when this is on disk."""

    job_id: str
    metrics: Mapping[str, float]
    """Per metric in our spelling, the score over all scored documents."""
    stderrs: Mapping[str, float]
    """Per metric, its standard error; a metric without one is absent."""
    num_samples: int
    num_unscored: int = 0
    num_truncated: int = 0
    """Documents whose prompt was cut on the left to fit the context."""
    started_at: str
    seconds: float
    """What it took, by the clock; where several jobs are answered at a time, what engines were busy with it."""
    num_prompt_tokens: int
    num_generated_tokens: int
    peak_memory_bytes: int
    scoring: Mapping[str, str] = field(default_factory=dict)
    """How it was scored where that can matter: sandbox tier, evalplus data version and digest."""
    prompt_usage: PromptUsage | None = field(default=None, metadata={"since": 2})
    """Whether Z is used; None for a baseline, and where it could not be measured."""
    verification: Verification | None = field(default=None, metadata={"since": 2})
    """None where none was asked for."""

    @property
    def tokens_per_second(self) -> float:
        """Prompt and generated tokens over wall seconds; 0 when no time was taken."""
        return (self.num_prompt_tokens + self.num_generated_tokens) / self.seconds if self.seconds else 0.0
