"""The frozen types that cross floors. They carry data; they know no file, no model and no page."""

from ft_eval.records.results import Answer, PromptUsage, SampleResult, TaskResult, Verification
from ft_eval.records.work import (
    Arm,
    Checkpoint,
    EngineOptions,
    Environment,
    Job,
    LatentPolicy,
    LatentSource,
    Registration,
    RunPlan,
    TaskGroup,
    TaskSpec,
    content_hash,
    with_digest,
)

__all__ = [
    "Answer",
    "Arm",
    "Checkpoint",
    "EngineOptions",
    "Environment",
    "Job",
    "LatentPolicy",
    "LatentSource",
    "PromptUsage",
    "Registration",
    "RunPlan",
    "SampleResult",
    "TaskGroup",
    "TaskResult",
    "TaskSpec",
    "Verification",
    "content_hash",
    "with_digest",
]
