"""The frozen types that cross floors. They carry data and derive identity from it; they compute nothing else.

Identity is apart from speed: `Job.id` hashes what changes the outputs and nothing that only changes how fast they come.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path


class Arm(StrEnum):
    """Which side of a pair a checkpoint is on."""

    BASELINE = "baseline"
    LATENT = "latent"


class LatentSource(StrEnum):
    """Where the codes Z come from at inference. A continuation's Z always comes from the prior."""

    PRIOR = "prior"
    """Uniform over 2^H codes at every position; the encoder is not run."""
    POSTERIOR = "posterior"
    """The encoder on the prompt alone, then the prior."""
    ZERO = "zero"
    """R = 0 at every position: the latent is switched off."""
    FIXED = "fixed"
    """One Z sequence for all items."""
    SHUFFLED = "shuffled"
    """Another item's posterior on the prompt, then the prior."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentPolicy:
    """How Z is chosen for one arm of a run."""

    source: LatentSource = LatentSource.PRIOR
    num_draws: int = 1
    """K, the number of independent Z sequences per item; at least 1."""
    adaptive: bool = False
    """For log-likelihoods: begin with few draws and go on to K only where the best two choices are not apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint folder and what its owner says of it."""

    name: str
    arm: Arm
    path: Path
    baseline: str | None = None
    """For a latent checkpoint, the name of the baseline it is paired with; None when there is none in the run."""
    dtype: str = "float32"
    """The type the weights are computed in: float32, bfloat16 or float16."""
    digest: str = ""
    """sha256 over the weights, the config and the tokenizer, hexadecimal; empty until the folder has been read."""
    num_parameters: int = 0
    training_tokens: int | None = None
    step: int | None = None
    kappa_bits: float | None = None
    """The free bits κ the model was trained with, in bits per token (not nats)."""
    num_latent_bits: int | None = None
    """H; None for a baseline."""
    adapter: str | None = None
    """The name of the class that runs it, where the checkpoint is in no known layout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """One scored task: a leaf, never a group."""

    name: str
    version: str
    output_type: str
    """lm-eval's: generate_until, multiple_choice, loglikelihood or loglikelihood_rolling."""
    num_fewshot: int
    metric: str
    """The primary metric, the one a table shows, in our spelling (`metric` or `metric/filter`)."""
    higher_is_better: bool = True
    limit: int | None = None
    """Documents at most, the first ones; None for all."""
    num_docs: int = 0
    """Documents that this job scores: the split's size, or the limit where that is smaller."""
    cluster_field: str | None = None
    runs_code: bool = False
    dataset: str = ""
    """The dataset's hub id (and config), whatever folder it was read from."""
    dataset_digest: str = ""
    """sha256 over the scored documents, hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGroup:
    """A name the user may ask for that stands for several tasks, such as mmlu."""

    name: str
    tasks: tuple[str, ...]
    """The leaves, in order."""
    weight_by_size: bool = True
    """True: the mean over all items (micro). False: the mean over the tasks (macro)."""
    metric: str = ""
    """The primary metric, in our spelling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One checkpoint on one task under one latent policy: the unit that is done or not done."""

    checkpoint: Checkpoint
    task: TaskSpec
    latents: LatentPolicy | None
    """None for a baseline."""
    seed: int

    @property
    def identity(self) -> Mapping[str, object]:
        """What changes the outputs, and nothing else: no batch size, device, executor or path."""
        task = self.task
        return {
            "weights": self.checkpoint.digest,
            "dtype": self.checkpoint.dtype,
            "task": task.name,
            "task_version": task.version,
            "num_fewshot": task.num_fewshot,
            "limit": task.limit,
            "dataset_digest": task.dataset_digest,
            "latents": None if self.latents is None else asdict(self.latents),
            "seed": self.seed,
        }

    @property
    def id(self) -> str:
        """Twelve hexadecimal characters of the identity's sha256."""
        return content_hash(self.identity)[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What changes speed and memory but no answer."""

    batch_size: int | None = None
    """Rows at most in one forward pass; None lets the engine choose."""
    device: str = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a run ran, for provenance. `environment.py` collects it."""

    python: str
    platform: str
    processor: str
    num_threads: int
    versions: Mapping[str, str]
    """Package name to version, of the packages that can change an answer."""
    git_commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """All that a run will do, fixed before it starts."""

    jobs: tuple[Job, ...]
    groups: tuple[TaskGroup, ...] = ()
    engine: EngineOptions = field(default_factory=EngineOptions)
    environment: Environment
    command: str
    """The command line that made the plan, as the user can type it again."""
    created_at: str
    """UTC, ISO 8601, whole seconds."""

    @property
    def run_id(self) -> str:
        """Twelve hexadecimal characters over the jobs' identities (and the names they go by): same work, same id."""
        return content_hash([[job.checkpoint.name, job.checkpoint.baseline, job.id] for job in self.jobs])[:12]

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """The distinct checkpoints, in the order of their first job."""
        return tuple(dict.fromkeys(job.checkpoint for job in self.jobs))

    @property
    def tasks(self) -> tuple[TaskSpec, ...]:
        """The distinct tasks, in the order of their first job."""
        return tuple({job.task.name: job.task for job in self.jobs}.values())


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
    num_prompt_tokens: int
    num_generated_tokens: int
    peak_memory_bytes: int
    scoring: Mapping[str, str] = field(default_factory=dict)
    """How it was scored where that can matter: sandbox tier, evalplus data version and digest."""

    @property
    def tokens_per_second(self) -> float:
        """Prompt and generated tokens over wall seconds; 0 when no time was taken."""
        return (self.num_prompt_tokens + self.num_generated_tokens) / self.seconds if self.seconds else 0.0


def content_hash(value: object) -> str:
    """sha256, hexadecimal, over the canonical JSON of plain data (sorted keys, no spaces, ASCII)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def with_digest(checkpoint: Checkpoint, digest: str) -> Checkpoint:
    """The checkpoint with the sha256 of its weights filled in."""
    return replace(checkpoint, digest=digest)
