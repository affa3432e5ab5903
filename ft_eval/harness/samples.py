"""From lm-eval's sample records and our answers to SampleResults: one per document and draw. Knows no task's score.

A draw is one draw of Z and one repeat of the prompt, numbered as the answer's noise is.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from numbers import Real
from typing import Any

from ft_eval.harness.documents import cluster_name
from ft_eval.harness.marginal import marginal, may_flip
from ft_eval.harness.names import asks_twice, metric_name
from ft_eval.harness.repeats import Repeats
from ft_eval.records import Answer, Job, SampleResult

Records = Mapping[str, Sequence[tuple[Answer, ...]]]
"""By item, per request the answers behind it."""


def read_samples(
    job: Job, logged: Sequence[Mapping[str, Any]], records: Records, z_draw: int, repeats: Repeats
) -> tuple[SampleResult, ...]:
    """One sample per document, and per repeat where each is scored: lm-eval logs one per document and filter."""
    job_id = job.id  # a digest: once is enough
    found: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for record in logged:
        name, repeat = repeats.split(record["filter"])
        found.setdefault((int(record["doc_id"]), repeat), []).append({**record, "filter": name})
    samples = []
    for (doc_id, repeat), one in sorted(found.items()):
        requests = records.get(f"{job.task.name}/{doc_id}", ())
        if repeats.num_scored > 1:  # a document of one prompt: a request is a repeat
            requests = requests[repeat : repeat + 1]
        samples.append(_sample(job, job_id, one, requests, z_draw * repeats.num_scored + repeat))
    return tuple(samples)


def _sample(
    job: Job, job_id: str, found: Sequence[Mapping[str, Any]], requests: Sequence[tuple[Answer, ...]], draw: int
) -> SampleResult:
    first = found[0]
    metrics = _metrics(found)
    answers = [answer for request in requests for answer in request]
    return SampleResult(
        job_id=job_id,
        doc_id=int(first["doc_id"]),
        draw=draw,
        doc_hash=first["doc_hash"],
        prompt_hash=first["prompt_hash"],
        target_hash=first["target_hash"],
        prompt=str(first["arguments"][0][0]),
        target=_target(job, first),
        responses=_responses(job, first, answers),
        metrics=metrics,
        num_prompt_tokens=sum(answer.num_prompt_tokens for answer in answers),
        num_generated_tokens=sum(answer.num_generated_tokens for answer in answers),
        num_truncated_tokens=max((answer.num_truncated_tokens for answer in answers), default=0),
        seconds=sum(answer.seconds for answer in answers),
        error=None if all(map(isfinite, metrics.values())) else "a metric of this document is not a finite number",
        details=_cluster(job, first),
        **_likelihoods(job, first, requests),
    )


def _cluster(job: Job, first: Mapping[str, Any]) -> dict[str, str]:
    """Which documents this one hangs together with, under the field's name; empty for a task of independent items."""
    field = job.task.cluster_field
    name = None if field is None else cluster_name(first["doc"], field)
    return {} if field is None or name is None else {field: name}


def num_choices(record: Mapping[str, Any]) -> int:
    """Choices of a multiple-choice record: some metrics ask for each a second time, without its question."""
    num_requests = len(record["arguments"])
    return num_requests // 2 if asks_twice(record["metrics"]) else num_requests


def _metrics(found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {
        metric_name(metric, record["filter"]): float(record[metric])
        for record in found
        for metric in record["metrics"]
        if isinstance(record[metric], Real)
    }


def _responses(job: Job, first: Mapping[str, Any], answers: Sequence[Answer]) -> tuple[str, ...]:
    """The completions, or the texts of the choices."""
    if job.task.output_type == "multiple_choice":
        return _choices(first)
    return tuple(answer.text for answer in answers if answer.text is not None)


def _target(job: Job, first: Mapping[str, Any]) -> str:
    """The right answer as a person reads it: the choice itself where lm-eval gives its number."""
    target = first["target"]
    if job.task.output_type == "multiple_choice" and isinstance(target, int) and 0 <= target < num_choices(first):
        return _choices(first)[target]
    return str(target)


def _choices(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What is scored; where that is one text behind several contexts (WinoGrande), with the line it ends."""
    pairs = [(str(argument[0]), str(argument[1])) for argument in record["arguments"][: num_choices(record)]]
    if len(pairs) > 1 and len({continuation for _, continuation in pairs}) == 1:
        return tuple(f"{context.rpartition(chr(10))[2]}{continuation}" for context, continuation in pairs)
    return tuple(continuation for _, continuation in pairs)


def _likelihoods(job: Job, first: Mapping[str, Any], requests: Sequence[tuple[Answer, ...]]) -> dict[str, Any]:
    """The log-likelihoods of the choices, how well each is known, and whether the answer hangs on the draws."""
    if job.task.output_type == "generate_until" or not requests:
        return {}
    choices = requests[: num_choices(first)]
    averages = [marginal(answers) for answers in choices]
    many = averages[0].num_draws > 1
    return {
        "logprobs_nats": tuple(average.logprob_nats for average in averages),
        "logprob_stderrs_nats": tuple(average.stderr_nats for average in averages) if many else (),
        "effective_sample_sizes": tuple(average.effective_sample_size for average in averages) if many else (),
        "num_draws": averages[0].num_draws,
        "may_flip": may_flip(choices) if job.task.output_type == "multiple_choice" else None,
    }
