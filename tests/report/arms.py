"""Runs in memory of two latent checkpoints under several sources of Z: one that needs Z, and one that has collapsed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ft_eval.records import Checkpoint, Job, LatentPolicy, LatentSource, PromptUsage, TaskGroup, TaskSpec
from tests.report.fakes import FakeStore, baseline, digest, job, latent, store, task

SOURCES = tuple(LatentSource)
TASKS = (
    task("gsm8k", num_docs=200),
    task("mbpp_plus", metric="pass@1", num_docs=90),
    task("mmlu_anatomy", metric="acc", output_type="multiple_choice", num_docs=60),
    task("mmlu_virology", metric="acc", output_type="multiple_choice", num_docs=80),
    task("perplexity_of_stories", metric="loss", num_docs=50, higher_is_better=False),
)
MMLU = TaskGroup(name="mmlu", tasks=("mmlu_anatomy", "mmlu_virology"), weight_by_size=False, metric="acc")
BASE_RATE, SHIFT = 0.4, {"gsm8k": 0.3, "mbpp_plus": 0.04, "mmlu_anatomy": 0.25, "mmlu_virology": 0.2}
KEPT = {LatentSource.PRIOR: 1.0, LatentSource.POSTERIOR: 1.1, LatentSource.ZERO: 0.3, LatentSource.FIXED: 0.8}


def usage(kl_bits: float = 0.48, information_bits: float = 0.31, num_tokens: int = 640) -> PromptUsage:
    return PromptUsage(kl_bits=kl_bits, information_bits=information_bits, num_tokens=num_tokens, num_prompts=10)


def with_usage(made: FakeStore, usages: Mapping[Job, PromptUsage | None]) -> FakeStore:
    """The run with what the encoder says about each job's prompts."""
    for owner, found in usages.items():
        made.results[owner.id] = replace(made.results[owner.id], prompt_usage=found)
    return made


def arm_jobs(arm: Checkpoint, spec: TaskSpec, sources: Sequence[LatentSource] = SOURCES) -> dict[LatentSource, Job]:
    return {source: job(arm, spec, latents=LatentPolicy(source=source)) for source in sources}


def arms_store(name: str = "κ-1/2") -> FakeStore:
    """Five tasks, a baseline, a checkpoint that gains by Z, and one in nats that has collapsed, under five sources."""
    base = baseline("base-1.5B")
    used = latent(name, baseline=base.name)
    dead = latent("collapsed-" + name, baseline=base.name, kappa_bits=0.6931)
    scores: dict[Job, list[float]] = {job(base, spec): _scores(spec, 0.0) for spec in TASKS}
    usages = {}
    for arm, share, found in ((used, 1.0, usage()), (dead, 0.1, usage(0.52, 0.0004))):
        for spec in TASKS:
            for source, owner in arm_jobs(arm, spec).items():
                scores[owner] = _scores(spec, share * KEPT.get(source, 0.5), salt=f"{share} {source}")
                usages[owner] = found
    return with_usage(store(dict(scores), [MMLU]), usages)


def _scores(spec: TaskSpec, share: float, salt: str = "") -> list[float]:
    own = np.random.default_rng(list(digest(f"{spec.name} {salt}").encode())).random(spec.num_docs)
    difficulty = np.random.default_rng(list(digest(spec.name).encode())).random(spec.num_docs)
    if spec.metric == "loss":
        return [float(2.0 + 2.0 * d - 0.2 * share + 0.1 * o) for d, o in zip(difficulty, own, strict=True)]
    right = difficulty < BASE_RATE
    gained = own < share * SHIFT[spec.name] + 0.03
    lost = own < 0.03 * bool(salt)
    return [float(score) for score in np.where(right, ~lost, gained)] if salt else [float(score) for score in right]
