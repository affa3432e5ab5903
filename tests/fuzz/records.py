"""Small records and a run folder made of them, for targets to begin with."""

import gzip
import zlib
from pathlib import Path

from ft_eval.records import (
    Answer,
    Arm,
    Checkpoint,
    EngineOptions,
    Environment,
    Job,
    LatentPolicy,
    PromptUsage,
    RunPlan,
    SampleResult,
    TaskGroup,
    TaskResult,
    TaskSpec,
)
from ft_eval.store import RunStore


def plan() -> RunPlan:
    """One latent checkpoint on one task."""
    checkpoint = Checkpoint(name="ft", arm=Arm.LATENT, path=Path("ft"), digest="b" * 64, kappa_bits=0.5)
    spec = TaskSpec(name="gsm8k", version="3", output_type="generate_until", num_fewshot=5, metric="exact_match")
    return RunPlan(
        jobs=(Job(checkpoint=checkpoint, task=spec, latents=LatentPolicy(num_draws=4), seed=1),),
        groups=(TaskGroup(name="math", tasks=("gsm8k",)),),
        engine=EngineOptions(batch_size=8),
        environment=Environment(python="3.11", platform="Linux", processor="x", num_threads=2, versions={"torch": "2"}),
        command="ft-eval run",
        created_at="2026-01-01T00:00:00+00:00",
    )


def answer(index: int) -> Answer:
    """A completion with letters that are no ASCII."""
    return Answer(key=f"generate/{index}/0", text=f"№ {index}\n\u2028 '\"", num_generated_tokens=index, seconds=0.5)


def sample() -> SampleResult:
    """A scored document of the plan's job."""
    return SampleResult(
        job_id=plan().jobs[0].id,
        doc_id=0,
        doc_hash="d",
        prompt_hash="p",
        target_hash="t",
        prompt="2 + 2 =",
        target="4",
        responses=("4",),
        logprobs_nats=(-0.5, float("-inf")),
        metrics={"exact_match": 1.0},
    )


def result() -> TaskResult:
    """The plan's job, done."""
    return TaskResult(
        job_id=plan().jobs[0].id,
        metrics={"exact_match": 0.5},
        stderrs={"exact_match": float("nan")},
        num_samples=1,
        started_at="2026-01-01T00:00:00+00:00",
        seconds=2.0,
        num_prompt_tokens=10,
        num_generated_tokens=6,
        peak_memory_bytes=1,
        scoring={"sandbox": "ns"},
        prompt_usage=PromptUsage(kl_bits=0.5, information_bits=0.1, num_tokens=5, num_prompts=1),
    )


def run_folder(path: Path) -> Path:
    """A run whose one job is done; made where there is none yet."""
    if not path.exists():
        with RunStore.create(path, plan()) as store:
            store.finish(result(), [sample()])
    return path


def files_of(path: Path) -> dict[str, Path]:
    """The files of a run, by name."""
    return {file.name: file for file in path.rglob("*") if file.is_file()}


def sealed_line(line: bytes) -> bytes:
    """A log's line with its checksum where it begins with !, else as it is."""
    if not line.startswith(b"!"):
        return line
    body = line[1:].removesuffix(b"\n")
    return b'{"crc32":"%08x",' % zlib.crc32(body) + body + line[1 + len(body) :]


def gzipped(data: bytes) -> bytes:
    """The same bytes for the same data."""
    return gzip.compress(data, mtime=0)
