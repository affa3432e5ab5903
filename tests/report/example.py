"""A run as researchers have them, in memory: three κ, a group of tasks, losses beside gains, and things gone wrong."""

from dataclasses import replace
from functools import cache

import numpy as np

from ft_eval.records import Checkpoint, Job, LatentPolicy, SampleResult, TaskGroup, TaskSpec
from ft_eval.report import Report, build_report
from tests.report.fakes import FakeStore, baseline, digest, job, latent, plan, result, sample, task

SUBJECTS = ("anatomy", "astronomy", "college_physics", "econometrics", "jurisprudence", "machine_learning", "virology")
TASKS = (
    task("humaneval_plus", metric="pass@1", num_fewshot=0, num_docs=164, runs_code=True),
    task("mbpp_plus", metric="pass@1", num_fewshot=3, num_docs=378, runs_code=True),
    task("gsm8k", metric="exact_match/strict-match", num_docs=660),
    *(
        task(f"mmlu_{name}", metric="acc", output_type="multiple_choice", num_docs=100 + 9 * place)
        for place, name in enumerate(SUBJECTS)
    ),
    task("hellaswag", metric="acc_norm", output_type="multiple_choice", num_fewshot=10, num_docs=600),
    task("wikitext", metric="word_perplexity", output_type="loglikelihood_rolling", num_fewshot=0, num_docs=62,
         higher_is_better=False),
)  # fmt: skip
MMLU = TaskGroup(name="mmlu", tasks=tuple(f"mmlu_{name}" for name in SUBJECTS), weight_by_size=False, metric="acc")
BASE_RATE = {"humaneval_plus": 0.06, "mbpp_plus": 0.31, "gsm8k": 0.30, "hellaswag": 0.71}
COMMAND = (
    "ft-eval run checkpoints.toml --tasks humaneval_plus,mbpp_plus,gsm8k,mmlu,hellaswag,wikitext --output-path runs"
)
HOSTILE = "</pre><script>alert('x')</script>\x1b[31m\u202egnihton"


def example_store(*, names: tuple[str, ...] = ("κ-1/4", "κ-1/2", "κ-2"), is_running: bool = False) -> FakeStore:
    """The run. `is_running` leaves the last checkpoint's last task unfinished."""
    base = baseline("base-1.5B", dtype="bfloat16", training_tokens=47_000_000_000, step=45_000)
    arms = [base] + [
        latent(
            name, baseline=base.name, kappa_bits=kappa, dtype="bfloat16", training_tokens=47_000_000_000, step=45_000
        )
        for name, kappa in zip(names, (0.25, 0.5, 2.0), strict=False)
    ]
    jobs = [job(arm, spec, latents=_policy(arm)) for arm in arms for spec in TASKS]
    made = FakeStore(replace(plan(jobs, [MMLU]), command=COMMAND))
    for owner in jobs[:-1] if is_running else jobs:
        _finish(made, owner)
    return made


@cache
def example_report() -> Report:
    """The report of the whole run, made once: it is frozen."""
    return build_report([example_store()])


def _policy(arm: Checkpoint) -> LatentPolicy | None:
    return LatentPolicy() if arm.kappa_bits is not None else None


def _finish(made: FakeStore, owner: Job) -> None:
    samples = _samples(owner)
    perplexity = {"word_perplexity": 20.4 if owner.latents is None else 19.7}
    finished = result(owner, samples, seconds=0.31 * len(samples) * (1.0 if owner.latents is None else 1.05))
    if owner.task.name == "wikitext":
        finished = replace(finished, metrics=perplexity)
    if owner.task.runs_code:
        finished = replace(finished, scoring={"sandbox": "bubblewrap", "evalplus data": "v0.1.10", "timeouts": "cpu"})
    made.stored[owner.id], made.results[owner.id] = samples, finished


def _samples(owner: Job) -> list[SampleResult]:
    spec = owner.task
    noise = np.random.default_rng(list(digest(f"{spec.name}").encode()))
    own = np.random.default_rng(list(digest(f"{spec.name} {owner.checkpoint.name}").encode()))
    difficulty, luck = noise.random(spec.num_docs), own.random(spec.num_docs)
    rate = BASE_RATE.get(spec.name, 0.45)
    right = difficulty < rate
    if owner.latents is not None:
        up, down = _shift(owner)
        right = np.where(right, luck >= down, luck < up)
    return [_sample(owner, doc_id, float(score)) for doc_id, score in enumerate(right)]


def _shift(owner: Job) -> tuple[float, float]:
    """Chances that a wrong answer becomes right, and a right one wrong."""
    kappa, spec = owner.checkpoint.kappa_bits or 0.0, owner.task
    if kappa == 2.0:
        return 0.02, 0.15
    if spec.name.startswith("mmlu"):
        return 0.14, 0.06
    return {"humaneval_plus": (0.03, 0.08), "gsm8k": (0.08, 0.14), "hellaswag": (0.06, 0.03)}.get(
        spec.name, (0.05, 0.05)
    )


def _sample(owner: Job, doc_id: int, score: float) -> SampleResult:
    spec: TaskSpec = owner.task
    made = sample(owner, doc_id, score, num_prompt_tokens=400, num_generated_tokens=90)
    if spec.output_type == "multiple_choice":
        choices = (" a vein", " an artery", " a nerve", " a tendon")
        logprobs = (-1.2 - score, -1.9 + score, -2.75, -3.1)
        metrics = {spec.metric: score, "acc_char": score, "brier_score": 0.4 - 0.2 * score}
        return replace(made, responses=choices, logprobs_nats=logprobs, metrics=metrics)
    if spec.name == "gsm8k":
        loose = max(score, float(doc_id % 11 == 0))
        answer = f"She pays 3 * {doc_id} = {3 * doc_id} dollars.\n#### {3 * doc_id if score else 'many'}"
        if doc_id % 50 == 3:
            answer += HOSTILE
        made = replace(made, prompt=made.prompt * 40, target=f"#### {3 * doc_id}", responses=(answer,))
        cut = 12 if doc_id < 3 else 0
        return replace(
            made, metrics={spec.metric: score, "exact_match/flexible-extract": loose}, num_truncated_tokens=cut
        )
    if spec.name == "humaneval_plus" and doc_id == 7 and owner.checkpoint.kappa_bits == 0.25:
        return replace(made, error="sandbox: the memory limit could not be set", metrics={})
    if spec.runs_code:
        return replace(made, metrics={spec.metric: score, "pass@1_base": max(score, float(doc_id % 9 == 0))})
    return made
