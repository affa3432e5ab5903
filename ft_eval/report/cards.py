"""What the runs cost and where they come from, as data for the page. Computes nothing and knows no score."""

from collections.abc import Mapping
from dataclasses import dataclass

from ft_eval.records import Environment, TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """What one contender took, on one task or in all."""

    label: str
    task: str
    """Empty for the sum over its finished tasks."""
    num_parameters: int
    flops_per_token: int
    """Of a generated token's matrices, without attention over earlier ones; 0 where it is not known."""
    flops_per_prompt_token: int
    """The same for a prompt's token: with the encoder, where the source of Z asks it."""
    num_jobs: int
    """Finished jobs."""
    seconds: float
    num_prompt_tokens: int
    num_generated_tokens: int
    tokens_per_second: float
    peak_memory_bytes: int
    seconds_ratio: float | None
    """Over the baseline's seconds on the tasks that both finished; None without a baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedAgain:
    """Requests of one contender that were asked again, alone: what the batch and what was shared changed."""

    label: str
    num_requests: int
    num_changed: int
    largest_gap_nats: float
    """The largest |Δ log p|."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCard:
    """One run, for provenance."""

    run_id: str
    created_at: str
    command: str
    environment: Environment
    device: str
    batch_size: int | None
    num_jobs: int
    num_done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCard:
    """One task's source and how it was scored."""

    task: TaskSpec
    scoring: tuple[tuple[str, Mapping[str, str]], ...]
    """(who, details): one entry for all contenders where they agree, one per contender where they don't."""
