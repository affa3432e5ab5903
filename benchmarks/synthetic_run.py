"""Writes a run folder whose effects are known: nothing was evaluated, scores and texts are drawn at random.

    python benchmarks/synthetic_run.py DIR                          25,945 documents under three checkpoints
    python benchmarks/synthetic_run.py DIR --num-samples 1000000    as many documents as make a million samples

The documents are those of five benchmarks in number and kind. Of two latent checkpoints, `planted` has the effects of
`EFFECTS` and nothing else, `null` has none: each turns as many right answers wrong as it turns wrong ones right. What a
report of the folder should find is therefore known.
"""

import argparse
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ft_eval.environment import collect_environment
from ft_eval.records import Arm, Checkpoint, Job, LatentPolicy, RunPlan, SampleResult, TaskGroup, TaskResult, TaskSpec
from ft_eval.store import RunStore

NUM_SUBJECTS = 57
SIZES = {"humaneval_plus": 164, "mbpp_plus": 378, "gsm8k": 1_319, "hellaswag": 10_042, "mmlu": 14_042}
RATES = {"humaneval_plus": 0.27, "mbpp_plus": 0.43, "gsm8k": 0.32, "hellaswag": 0.79, "mmlu": 0.59}
EFFECTS = {"gsm8k": 0.07, "hellaswag": -0.025, "mmlu": 0.03}
"""Points of `planted` over the baseline, as fractions; 0 elsewhere."""
CHANGED = 0.10
"""The share of items on which a latent differs from its baseline without any effect."""
NUM_CHECKPOINTS = 3
_WORDS = (
    *("apples", "birds", "carries", "during", "each", "farmer", "gives", "hours", "into", "jars", "keeps", "less"),
    *("many", "number", "of", "pages", "quarter", "river", "sells", "table", "under", "value", "when", "twice"),
    *("yellow", "boxes", "count", "does", "equal", "from", "half"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the run is like."""

    num_samples: int = NUM_CHECKPOINTS * sum(SIZES.values())
    seed: int = 0


def make_run(folder: Path, options: Options) -> RunPlan:
    """Write the run, finished, and return its plan.

    Raises:
        StoreError: the folder holds something, or can't be written.
    """
    plan = make_plan(options)
    with RunStore.create(folder, plan) as store:
        for job in plan.jobs:
            scores = draw_scores(job, options.seed)
            store.finish(_result(job, scores), _samples(job, scores))
    return plan


def make_plan(options: Options) -> RunPlan:
    """Three checkpoints on 61 tasks, 57 of them the subjects of one group."""
    base = Checkpoint(
        name="base",
        arm=Arm.BASELINE,
        path=Path("/synthetic/base"),
        digest=_sha256("base"),
        num_parameters=1_543_000_000,
        training_tokens=47_000_000_000,
        flops_per_token=3_028_000_000,
    )
    latents = [
        replace(
            base, name=name, arm=Arm.LATENT, path=Path(f"/synthetic/{name}"), baseline="base", digest=_sha256(name),
            kappa_bits=kappa, num_latent_bits=16, num_parameters=1_659_000_000, encoder_flops_per_token=94_000_000,
        )
        for name, kappa in (("planted", 0.5), ("null", 1.0))
    ]  # fmt: skip
    tasks = make_tasks(options.num_samples // NUM_CHECKPOINTS)
    jobs = [
        Job(checkpoint=checkpoint, task=task, latents=None if checkpoint is base else LatentPolicy(), seed=options.seed)
        for checkpoint in (base, *latents)
        for task in tasks
    ]
    subjects = tuple(task.name for task in tasks if task.name.startswith("mmlu_"))
    return RunPlan(
        jobs=tuple(jobs),
        groups=(TaskGroup(name="mmlu", tasks=subjects, weight_by_size=False, metric="acc"),),
        environment=collect_environment(),
        command=f"python benchmarks/synthetic_run.py --num-samples {options.num_samples}",
        created_at="2026-11-01T00:00:00Z",
    )


def make_tasks(num_documents: int) -> tuple[TaskSpec, ...]:
    """The tasks, each with its share of the documents and at least 20."""
    scale = num_documents / sum(SIZES.values())
    sizes = {name: max(20, round(scale * size)) for name, size in SIZES.items() if name != "mmlu"}
    subject = max(20, round(scale * SIZES["mmlu"] / NUM_SUBJECTS))
    sizes |= {f"mmlu_subject_{number:02d}": subject for number in range(NUM_SUBJECTS)}
    return tuple(_task(name, size) for name, size in sizes.items())


def _task(name: str, size: int) -> TaskSpec:
    is_choice, is_code = name.startswith(("mmlu", "hellaswag")), name.endswith("_plus")
    return TaskSpec(
        name=name,
        version="1",
        output_type="multiple_choice" if is_choice else "generate_until",
        num_fewshot=0 if is_code else 5,
        metric="acc" if is_choice else "pass@1" if is_code else "exact_match/strict-match",
        num_docs=size,
        runs_code=is_code,
        dataset=f"synthetic/{name}",
        dataset_digest=_sha256(name),
    )


def draw_scores(job: Job, seed: int) -> NDArray[np.float64]:
    """0 or 1 per document. The baseline's are the same for every latent to be held to."""
    task, family = job.task.name, "mmlu" if job.task.name.startswith("mmlu") else job.task.name
    rate = RATES[family]
    right = _noise(seed, task, "baseline").random(job.task.num_docs) < rate
    if job.latents is None:
        return right.astype(np.float64)
    effect = EFFECTS.get(family, 0.0) if job.checkpoint.name == "planted" else 0.0
    lose, gain = CHANGED / 2 / rate, CHANGED / 2 / (1.0 - rate)
    gain, lose = gain + max(0.0, effect) / (1.0 - rate), lose + max(0.0, -effect) / rate
    luck = _noise(seed, task, job.checkpoint.name).random(job.task.num_docs)
    return np.where(right, luck >= lose, luck < gain).astype(np.float64)


def _noise(*key: object) -> np.random.Generator:
    return np.random.default_rng(list(_sha256(repr(key)).encode()))


def _samples(job: Job, scores: NDArray[np.float64]) -> Iterator[SampleResult]:
    task = job.task
    shots = "".join(f"Question: {_prose(task.name, -1 - n)}\nAnswer: {n}\n\n" for n in range(task.num_fewshot))
    for doc_id, score in enumerate(scores.tolist()):
        question = _prose(task.name, doc_id)
        prompt, target = f"{shots}Question: {question}\nAnswer:", f" {_sha256(question)[:6]}"
        said = target if score else f" {_sha256(question + job.checkpoint.name)[:6]}"
        is_choice = task.output_type == "multiple_choice"
        yield SampleResult(
            job_id=job.id,
            doc_id=doc_id,
            doc_hash=_sha256(question),
            prompt_hash=_sha256(prompt),
            target_hash=_sha256(target),
            prompt=prompt,
            target=target,
            responses=tuple(f" option {n} {word}" for n, word in enumerate(_WORDS[:4])) if is_choice
            else (f" {question.split('.')[0]}, so the answer is{said}",),
            logprobs_nats=(-1.0 - (not score), -2.0 + (not score), -3.5, -4.25) if is_choice else (),
            metrics={task.metric: score},
            num_prompt_tokens=len(prompt) // 4,
            num_generated_tokens=0 if is_choice else 20,
        )  # fmt: skip


def _prose(task: str, doc_id: int) -> str:
    """About 300 characters, other ones for every document."""
    places = np.frombuffer(hashlib.sha512(f"{task} {doc_id}".encode()).digest()[:48], dtype=np.uint8) % len(_WORDS)
    return f"{task} {doc_id}. " + " ".join(_WORDS[place] for place in places.tolist())


def _result(job: Job, scores: NDArray[np.float64]) -> TaskResult:
    seconds = 0.011 * scores.size * (1.0 if job.latents is None else 1.036)
    return TaskResult(
        job_id=job.id,
        metrics={job.task.metric: float(scores.mean())},
        stderrs={},
        num_samples=scores.size,
        started_at="2026-11-01T00:00:00Z",
        seconds=seconds,
        num_prompt_tokens=500 * scores.size,
        num_generated_tokens=0 if job.task.output_type == "multiple_choice" else 20 * scores.size,
        peak_memory_bytes=int((6.4 if job.latents is None else 6.9) * 2**30),
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    """Write the run that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--num-samples", type=int, default=Options().num_samples, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    options = parser.parse_args()
    plan = make_run(options.folder, Options(num_samples=options.num_samples, seed=options.seed))
    print(f"{options.folder}: {sum(job.task.num_docs for job in plan.jobs):,} samples of {len(plan.jobs)} jobs")


if __name__ == "__main__":
    main()
