"""Identity hashes what changes the answers and nothing else."""

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from ft_eval.records import (
    Arm,
    Checkpoint,
    EngineOptions,
    Environment,
    Job,
    LatentPolicy,
    LatentSource,
    RunPlan,
    TaskGroup,
    TaskResult,
    TaskSpec,
    content_hash,
    with_digest,
)

CHECKPOINT = Checkpoint(name="ft", arm=Arm.LATENT, path=Path("ckpts/ft"), baseline="base", digest="a" * 64)
TASK = TaskSpec(name="gsm8k", version="3", output_type="generate_until", num_fewshot=5, metric="exact_match")
JOB = Job(checkpoint=CHECKPOINT, task=TASK, latents=LatentPolicy(num_draws=4), seed=1)
PLAN = RunPlan(
    jobs=(JOB,),
    environment=Environment(python="3.11", platform="Linux", processor="x", num_threads=2, versions={}),
    command="ft-eval run",
    created_at="2026-01-01T00:00:00+00:00",
)


def with_checkpoint(**changes) -> Job:
    return replace(JOB, checkpoint=replace(CHECKPOINT, **changes))


def with_task(**changes) -> Job:
    return replace(JOB, task=replace(TASK, **changes))


def test_a_jobs_id_is_twelve_hexadecimal_characters_and_stays_what_it_is():
    assert JOB.id == "53c3e2a517de"
    assert PLAN.run_id == "88efcddd6701"


@pytest.mark.parametrize(
    "other",
    [
        with_checkpoint(digest="b" * 64),
        with_checkpoint(dtype="bfloat16"),
        with_task(name="gsm8k_cot"),
        with_task(version="4"),
        with_task(num_fewshot=8),
        with_task(limit=10),
        with_task(dataset_digest="c" * 64),
        replace(JOB, latents=None),
        replace(JOB, latents=LatentPolicy(num_draws=5)),
        replace(JOB, latents=LatentPolicy(num_draws=4, source=LatentSource.ZERO)),
        replace(JOB, seed=2),
    ],
)
def test_what_changes_the_answers_changes_the_jobs_id(other):
    assert other.id != JOB.id


@pytest.mark.parametrize(
    "other",
    [
        with_checkpoint(path=Path("/elsewhere")),
        with_checkpoint(name="renamed", baseline=None),
        with_checkpoint(training_tokens=1, step=2, kappa_bits=0.5, num_parameters=3, num_latent_bits=4),
        with_task(metric="other", higher_is_better=False, num_docs=3, cluster_field="x"),
    ],
)
def test_what_changes_no_answer_leaves_the_jobs_id(other):
    assert other.id == JOB.id


def test_a_runs_id_is_that_of_its_work():
    same = replace(
        PLAN,
        engine=EngineOptions(batch_size=1, device="cuda"),
        environment=replace(PLAN.environment, num_threads=64),
        command="other",
        created_at="later",
    )
    assert same.run_id == PLAN.run_id
    assert replace(PLAN, jobs=(replace(JOB, seed=2),)).run_id != PLAN.run_id
    assert replace(PLAN, jobs=(JOB, JOB)).run_id != PLAN.run_id
    assert replace(PLAN, jobs=(with_checkpoint(name="renamed"),)).run_id != PLAN.run_id
    assert replace(PLAN, jobs=(with_checkpoint(baseline="other"),)).run_id != PLAN.run_id


def test_a_plan_lists_its_checkpoints_and_tasks_once_in_the_order_of_their_jobs():
    base = Checkpoint(name="base", arm=Arm.BASELINE, path=Path("b"))
    other = replace(TASK, name="arc")
    jobs = [Job(checkpoint=c, task=t, latents=None, seed=1) for t in (TASK, other) for c in (CHECKPOINT, base)]
    plan = replace(PLAN, jobs=tuple(jobs), groups=(TaskGroup(name="g", tasks=("arc",)),))
    assert plan.checkpoints == (CHECKPOINT, base)
    assert plan.tasks == (TASK, other)


def test_a_content_hash_does_not_depend_on_the_order_of_keys_and_refuses_nan():
    assert content_hash({"a": 1, "b": [1, None]}) == content_hash({"b": [1, None], "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": 1.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_hash(float("nan"))


def test_tokens_per_second_are_prompt_and_generated_tokens_over_wall_time():
    result = TaskResult(
        job_id=JOB.id,
        metrics={},
        stderrs={},
        num_samples=1,
        started_at="",
        seconds=4.0,
        num_prompt_tokens=10,
        num_generated_tokens=6,
        peak_memory_bytes=1,
    )
    assert result.tokens_per_second == 4.0
    assert replace(result, seconds=0.0).tokens_per_second == 0.0


def test_records_do_not_change_and_a_digest_is_filled_into_a_copy():
    with pytest.raises(FrozenInstanceError):
        CHECKPOINT.name = "other"  # type: ignore[misc]
    assert with_digest(CHECKPOINT, "d").digest == "d"
    assert CHECKPOINT.digest == "a" * 64
