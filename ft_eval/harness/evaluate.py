"""One job: a model on a task, from lm-eval's requests to our samples and scores. Knows no run and no checkpoint folder.

lm-eval builds the requests, applies its filters and metrics; the answers come from the backend, which serves those of
an interrupted run from their log.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from numbers import Real
from typing import Any

from lm_eval.api.task import Task
from lm_eval.evaluator import evaluate

from ft_eval.environment import peak_memory_bytes
from ft_eval.errors import remark
from ft_eval.harness.lm import FreeTransformerLM
from ft_eval.harness.marginal import generation_draws
from ft_eval.harness.names import metric_name
from ft_eval.harness.pass_rates import pass_rates
from ft_eval.harness.repeats import Repeats, with_each_repeat
from ft_eval.harness.samples import read_samples
from ft_eval.harness.task_files import code_faults
from ft_eval.harness.tasks import reset_fewshot
from ft_eval.harness.templates import template_faults
from ft_eval.records import Job, SampleResult, TaskResult
from ft_eval.stats.estimate import mean_estimate

_BOOTSTRAP_ITERATIONS = 1000
"""For the standard error of metrics that are no means; lm-eval's 100,000 take minutes and change no score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """A finished job, not yet on disk."""

    result: TaskResult
    samples: tuple[SampleResult, ...]


def evaluate_job(job: Job, task: Task, lm: FreeTransformerLM, scoring: Mapping[str, str]) -> JobOutcome:
    """Run one job to its end.

    A task of completions is scored once per draw of Z, and where it is of programs once per repeat of each; a task of
    log-likelihoods once, on their average over the draws.

    Args:
        job: what is evaluated; its id goes into every sample.
        task: the built task of that name.
        lm: the backend over the job's model, policy and seed.
        scoring: how answers are scored where that can matter, for the record.
    """
    started_at, started = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    num_passes = generation_draws(job.latents) if job.task.output_type == "generate_until" else 1
    task, repeats = with_each_repeat(task) if job.task.runs_code else (task, Repeats())
    passes = [_one_pass(job, task, lm, z_draw, repeats) for z_draw in range(num_passes)]
    samples = tuple(sample for one in passes for sample in one.samples)
    rates = pass_rates(samples)
    _see_primary(job, passes[0].scores)
    result = TaskResult(
        job_id=job.id,
        metrics={**_mean_over([one.scores for one in passes]), **rates.means},
        stderrs=passes[0].stderrs
        if num_passes * repeats.num_scored == 1
        else {**_stderrs_over_items(samples), **rates.stderrs},
        num_samples=len(samples),
        num_unscored=sum(sample.error is not None for sample in samples),
        num_truncated=len({sample.doc_id for sample in samples if sample.num_truncated_tokens > 0}),
        started_at=started_at,
        seconds=time.perf_counter() - started,
        num_prompt_tokens=sum(sample.num_prompt_tokens for sample in samples),
        num_generated_tokens=sum(sample.num_generated_tokens for sample in samples),
        peak_memory_bytes=peak_memory_bytes(),
        scoring=dict(scoring),
        verification=lm.verify(),
    )
    return JobOutcome(result=result, samples=samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """What lm-eval made of the answers of one draw."""

    samples: tuple[SampleResult, ...]
    scores: Mapping[str, float]
    stderrs: Mapping[str, float]


def _one_pass(job: Job, task: Task, lm: FreeTransformerLM, z_draw: int, repeats: Repeats) -> _Pass:
    reset_fewshot(task)
    lm.begin_pass(z_draw)
    with template_faults(task.task_name), code_faults(task.task_name):
        found = evaluate(
            lm,
            {"tasks": {task.task_name: task}},
            limit=job.task.limit,
            bootstrap_iters=_BOOTSTRAP_ITERATIONS,
            confirm_run_unsafe_code=False,
        )
    assert found is not None, "rank 0 always has results"
    scores, stderrs = _scores(found["results"][task.task_name], repeats)
    logged = found["samples"][task.task_name]
    return _Pass(samples=read_samples(job, logged, lm.records, z_draw, repeats), scores=scores, stderrs=stderrs)


def _see_primary(job: Job, scores: Mapping[str, float]) -> None:
    """Remark on a task whose first metric is none that its documents were given."""
    if job.task.metric not in scores:
        given = ", ".join(scores) or "none at all"
        remark(
            f"task {job.task.name} has no score: its first metric, {job.task.metric}, was given to no document; they "
            f"were given {given}"
        )


def _mean_over(passes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(scores[name] for scores in passes) / len(passes) for name in passes[0]}


def _stderrs_over_items(samples: Sequence[SampleResult]) -> dict[str, float]:
    """Standard errors over documents: the draws of one document are averaged first, as they are not independent."""
    by_metric: dict[str, dict[int, list[float]]] = {}
    for sample in samples:
        for name, value in sample.metrics.items():
            by_metric.setdefault(name, {}).setdefault(sample.doc_id, []).append(value)
    estimates = {
        name: mean_estimate([sum(values) / len(values) for values in items.values()])
        for name, items in by_metric.items()
    }
    return {name: estimate.stderr for name, estimate in estimates.items() if isfinite(estimate.stderr)}


def _scores(results: Mapping[str, Any], repeats: Repeats) -> tuple[dict[str, float], dict[str, float]]:
    """Scores, averaged over the repeats, and standard errors, which are those of one repeat where there are several."""
    scores: dict[str, list[float]] = {}
    stderrs: dict[str, float] = {}
    for key, value in results.items():
        metric, comma, filter_name = key.partition(",")
        if not comma or not isinstance(value, Real):
            continue
        filter_name, _ = repeats.split(filter_name)
        if metric.endswith("_stderr"):
            stderrs[metric_name(metric.removesuffix("_stderr"), filter_name)] = float(value)
        else:
            scores.setdefault(metric_name(metric, filter_name), []).append(float(value))
    return {name: sum(values) / len(values) for name, values in scores.items()}, stderrs
