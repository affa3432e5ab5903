"""Small plans, answers and results: what tests of runs are made of."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ft_eval.records import (
    Answer,
    Arm,
    Checkpoint,
    EngineOptions,
    Environment,
    Job,
    LatentPolicy,
    LatentSource,
    RunPlan,
    SampleResult,
    TaskGroup,
    TaskResult,
    TaskSpec,
)

TASK = TaskSpec(
    name="gsm8k", version="3", output_type="generate_until", num_fewshot=5, metric="exact_match/strict-match"
)
BASELINE = Checkpoint(name="base", arm=Arm.BASELINE, path=Path("ckpts/base"), digest="a" * 64)
LATENT = Checkpoint(name="ft", arm=Arm.LATENT, path=Path("ckpts/ft"), baseline="base", digest="b" * 64, kappa_bits=0.5)


def plan(**task: Any) -> RunPlan:
    """Two jobs, base and ft on one task; keywords change the task."""
    spec = replace(TASK, **task)
    policy = LatentPolicy(source=LatentSource.PRIOR, num_draws=4)
    return RunPlan(
        jobs=(
            Job(checkpoint=BASELINE, task=spec, latents=None, seed=1),
            Job(checkpoint=LATENT, task=spec, latents=policy, seed=1),
        ),
        groups=(TaskGroup(name="math", tasks=("gsm8k",)),),
        engine=EngineOptions(batch_size=8),
        environment=Environment(python="3.11", platform="Linux", processor="x", num_threads=2, versions={"torch": "2"}),
        command="ft-eval run",
        created_at="2026-01-01T00:00:00+00:00",
    )


def answer(index: int) -> Answer:
    """A completion with letters that are no ASCII."""
    return Answer(key=f"generate/{index}/0", text=f"№ {index}\n\u2028 '\"", num_generated_tokens=index, seconds=0.5)


def sample(job_id: str, doc_id: int) -> SampleResult:
    """A scored document."""
    return SampleResult(
        job_id=job_id,
        doc_id=doc_id,
        doc_hash="d",
        prompt_hash="p",
        target_hash="t",
        prompt="2 + 2 =",
        target="4",
        responses=("4",),
        metrics={"exact_match/strict-match": float(doc_id % 2)},
    )


def result(job_id: str) -> TaskResult:
    """A job that is done, of two samples."""
    return TaskResult(
        job_id=job_id,
        metrics={"exact_match/strict-match": 0.5},
        stderrs={},
        num_samples=2,
        started_at="2026-01-01T00:00:00+00:00",
        seconds=2.0,
        num_prompt_tokens=10,
        num_generated_tokens=6,
        peak_memory_bytes=1,
    )
