"""What is to be done: checkpoints, tasks, policies, jobs, plans. Identity is derived from it; nothing else is computed.

Identity is apart from speed: `Job.id` hashes what changes the outputs and nothing that only changes how fast they come.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


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
    shares_prefix: bool = field(default=False, metadata={"since": 2})
    """For the prior: prompts that begin alike have the same Z there, 64 tokens at a time, instead of one per item. Then
    the prefix is computed once, and the items' scores are correlated."""


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
    weights_digest: str = field(default="", metadata={"since": 3})
    """sha256 over the weights alone; with the next, to say which of them differs."""
    tokenizer_digest: str = field(default="", metadata={"since": 3})
    """sha256 over the tokenizer's files."""
    num_parameters: int = 0
    training_tokens: int | None = None
    step: int | None = None
    kappa_bits: float | None = None
    """The free bits κ the model was trained with, in bits per token (not nats)."""
    num_latent_bits: int | None = None
    """H; None for a baseline."""
    adapter: str | None = None
    """The name of the class that runs it, where the checkpoint is in no known layout."""
    num_nonfinite: int = field(default=0, metadata={"since": 3})
    """Numbers in its weights that are NaN or infinite; 0 unless the user allowed them."""
    flops_per_token: int = field(default=0, metadata={"since": 3})
    """Of the matrices that one token goes through, without attention over earlier ones; 0 where it is not known."""
    encoder_flops_per_token: int = field(default=0, metadata={"since": 3})
    """On top of it for a prompt's tokens, where the policy asks the encoder; 0 for a baseline."""
    training_run: str | None = field(default=None, metadata={"since": 3})
    """The recipe whose training it is a moment of: what checkpoints on one curve have in common."""
    training_seed: int | None = field(default=None, metadata={"since": 3})
    """Which training of that recipe, where there are several."""


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
    settings_digest: str = field(default="", metadata={"since": 3})
    """sha256 over all that a user's own task file says, hexadecimal: its version need not change with it. Empty for the
    tasks of this package and of lm-eval."""


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
    is_rerun: bool = field(default=False, metadata={"since": 3})
    """Whether it answers again what another job of its checkpoint answers, with another seed and in another order: the
    two scores differ by noise alone."""

    @property
    def identity(self) -> Mapping[str, object]:
        """What changes the outputs, and nothing else: no batch size, device, executor or path."""
        task = self.task
        sometimes: dict[str, object] = {"is_rerun": True} if self.is_rerun else {}
        if task.settings_digest:
            sometimes["task_settings"] = task.settings_digest
        return sometimes | {
            "weights": self.checkpoint.digest,
            "dtype": self.checkpoint.dtype,
            "task": task.name,
            "task_version": task.version,
            "num_fewshot": task.num_fewshot,
            "limit": task.limit,
            "dataset_digest": task.dataset_digest,
            "latents": None if self.latents is None else _latents_identity(self.latents),
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
    prefix_cache: bool = field(default=True, metadata={"since": 2})
    """Whether what requests share is computed once: prefixes, contexts, and the half of the blocks that sees no Z."""
    captures_steps: bool = field(default=False, metadata={"since": 2})
    """Whether decode steps are replayed as captured CUDA graphs."""
    compile: str = field(default="auto", metadata={"since": 3})
    """On a CPU: whether the project's own kernels are compiled and used. auto, where it pays back; on; off."""
    num_verified: int = field(default=0, metadata={"since": 2})
    """Requests of each job that are asked again, alone and with nothing shared, to see whether that changes them."""


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
class Registration:
    """What somebody said that a run would do, before it ran: jobs, and what the verdict is about."""

    jobs: tuple[Job, ...]
    primary: tuple[str, ...] = ()
    """The declared family of tasks and groups; empty: all."""
    margin_points: float | None = None
    command: str
    created_at: str
    """UTC, ISO 8601, whole seconds."""

    @property
    def digest(self) -> str:
        """sha256, hexadecimal, over the jobs' identities with the names they go by, the terms and the time."""
        jobs = [[job.checkpoint.name, job.checkpoint.baseline, job.id] for job in self.jobs]
        return content_hash([jobs, list(self.primary), self.margin_points, self.command, self.created_at])


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
    primary: tuple[str, ...] = field(default=(), metadata={"since": 3})
    """The declared family of tasks and groups that the verdict is about; empty: all."""
    margin_points: float | None = field(default=None, metadata={"since": 3})
    """Differences inside ± this many points make no practical difference; None where nobody said."""
    registered: Registration | None = field(default=None, metadata={"since": 3})
    """The plan that was written beforehand, where there was one."""

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


def _latents_identity(latents: LatentPolicy) -> Mapping[str, object]:
    """All fields, but for those added later where they are as if they were not there."""
    return {name: value for name, value in asdict(latents).items() if name != "shares_prefix" or value}


def content_hash(value: object) -> str:
    """sha256, hexadecimal, over the canonical JSON of plain data (sorted keys, no spaces, ASCII)."""
    return hashlib.sha256(_CANONICAL.encode(value).encode()).hexdigest()


def with_digest(checkpoint: Checkpoint, digest: str) -> Checkpoint:
    """The checkpoint with the sha256 of its weights filled in."""
    return replace(checkpoint, digest=digest)
