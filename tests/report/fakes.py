"""Runs in memory, of the shape that `RunStore` has, with a few lines per job."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path

from ft_eval.records import (
    Arm,
    Checkpoint,
    Environment,
    Job,
    LatentPolicy,
    RunPlan,
    SampleResult,
    TaskGroup,
    TaskResult,
    TaskSpec,
)
from ft_eval.report.columns import Batch, read_batches
from ft_eval.store import SampleBlock, dump

ENVIRONMENT = Environment(
    python="3.11.7",
    platform="Linux-6.1-x86_64",
    processor="AMD EPYC",
    num_threads=2,
    versions={"torch": "2.13.0", "lm-eval": "0.4.13"},
    git_commit="0123456789abcdef",
)


@dataclass
class FakeStore:
    """A run in memory."""

    plan: RunPlan
    results: dict[str, TaskResult] = field(default_factory=dict)
    stored: dict[str, list[SampleResult]] = field(default_factory=dict)
    num_reads: int = 0

    def result(self, job_id: str) -> TaskResult | None:
        return self.results.get(job_id)

    def samples(self, job_id: str, doc_ids: AbstractSet[int] | None = None) -> Iterator[SampleResult]:
        self.num_reads += 1
        yield from (sample for sample in self.stored[job_id] if doc_ids is None or sample.doc_id in doc_ids)

    def sample_blocks(self, job_id: str) -> Iterator[SampleBlock]:
        self.num_reads += 1
        yield from blocks(self.stored[job_id], job_id)


def blocks(samples: Sequence[SampleResult], job_id: str, size: int = 16) -> Iterator[SampleBlock]:
    """The samples as lines on disk, so many in a block."""
    for first in range(0, len(samples), size):
        lines = [dump(sample, versioned=True) + "\n" for sample in samples[first : first + size]]
        yield SampleBlock(text="".join(lines).encode("ascii"), first=first, num_lines=len(lines), job_id=job_id)


def batches(samples: Sequence[SampleResult]) -> list[Batch]:
    """The samples of one job as a report reads them."""
    return list(read_batches(blocks(samples, samples[0].job_id))) if samples else []


def baseline(name: str = "base", **changes: object) -> Checkpoint:
    made = Checkpoint(
        name=name, arm=Arm.BASELINE, path=Path(f"/weights/{name}"), digest=digest(name), num_parameters=1_500_000_000
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def latent(name: str = "latent", **changes: object) -> Checkpoint:
    made = Checkpoint(
        name=name,
        arm=Arm.LATENT,
        path=Path(f"/weights/{name}"),
        baseline="base",
        digest=digest(name),
        num_parameters=1_601_000_000,
        kappa_bits=0.5,
        num_latent_bits=16,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def task(name: str = "gsm8k", **changes: object) -> TaskSpec:
    made = TaskSpec(
        name=name,
        version="1",
        output_type="generate_until",
        num_fewshot=5,
        metric="exact_match",
        num_docs=20,
        dataset=f"org/{name}",
        dataset_digest=digest(name),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def job(checkpoint: Checkpoint, spec: TaskSpec, *, latents: LatentPolicy | None = None, seed: int = 0) -> Job:
    if latents is None and checkpoint.arm is Arm.LATENT:
        latents = LatentPolicy()
    return Job(checkpoint=checkpoint, task=spec, latents=latents, seed=seed)


def sample(owner: Job, doc_id: int, score: float, **changes: object) -> SampleResult:
    key = f"{owner.task.name} {doc_id}"
    made = SampleResult(
        job_id=owner.id,
        doc_id=doc_id,
        doc_hash=digest(f"doc {key}"),
        prompt_hash=digest(f"prompt {key}"),
        target_hash=digest(f"target {key}"),
        prompt=f"Question {doc_id} of {owner.task.name}?",
        target=f"target {doc_id}",
        responses=(f"{owner.checkpoint.name} answers {doc_id}",),
        metrics={owner.task.metric: float(score)},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def result(owner: Job, samples: Sequence[SampleResult], **changes: object) -> TaskResult:
    scored = [s for s in samples if s.error is None]
    names = {name for s in scored for name in s.metrics}
    made = TaskResult(
        job_id=owner.id,
        metrics={name: sum(s.metrics[name] for s in scored if name in s.metrics) / len(scored) for name in names},
        stderrs={},
        num_samples=len(scored),
        num_unscored=len(samples) - len(scored),
        num_truncated=sum(s.num_truncated_tokens > 0 for s in samples),
        started_at="2026-11-01T00:00:00Z",
        seconds=10.0 if owner.latents is None else 11.0,
        num_prompt_tokens=1000,
        num_generated_tokens=500,
        peak_memory_bytes=3 * 2**30,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def plan(jobs: Sequence[Job], groups: Sequence[TaskGroup] = (), *, created_at: str = "2026-11-01T00:00:00Z") -> RunPlan:
    return RunPlan(
        jobs=tuple(jobs),
        groups=tuple(groups),
        environment=ENVIRONMENT,
        command="ft-eval run checkpoints.toml --tasks gsm8k",
        created_at=created_at,
    )


def store(scores: Mapping[Job, Sequence[float | SampleResult] | None], groups: Sequence[TaskGroup] = ()) -> FakeStore:
    """A run whose jobs have these scores per document; None stands for a job that has not finished."""
    made = FakeStore(plan(list(scores), groups))
    for owner, values in scores.items():
        if values is None:
            continue
        samples = [v if isinstance(v, SampleResult) else sample(owner, i, float(v)) for i, v in enumerate(values)]
        made.stored[owner.id] = samples
        made.results[owner.id] = result(owner, samples)
    return made
