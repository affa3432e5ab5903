"""What the samples of one task say about the contenders of one panel: item scores, pairs, and what to warn of.

Holds numbers only. One task's frames are alive at a time; what stays are two floats per item, metric and pair.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ft_eval.records import TaskSpec
from ft_eval.report.catalog import AGAIN, Catalog, Entry, ItemScores, Matchup, zero_arm
from ft_eval.report.formats import count, one_line
from ft_eval.report.frames import (
    ITEM,
    Samples,
    chance_of_guessing,
    draw_matrix,
    item_frame,
    metric_column,
    read_samples,
)
from ft_eval.report.pairing import Pairing, pair_items
from ft_eval.report.tables import Contender

_TOLERANCE = 1e-6
Key = tuple[str, str]
"""(contender's label, metric)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The scores of two contenders on their shared items, each of shape (n,), in one order."""

    baseline: NDArray[np.float64]
    latent: NDArray[np.float64]
    baseline_ids: NDArray[np.int64]
    """The items' document numbers in the baseline's job."""
    latent_ids: NDArray[np.int64]
    baseline_draws: NDArray[np.float64] | None = None
    """The same scores before their draws were averaged, (n, K); None where K is 1, or not the same for all items."""
    latent_draws: NDArray[np.float64] | None = None
    clusters: NDArray[np.uint64] | None = None
    """The cluster of each item; None where items are independent, or not all say theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """A score that a task makes from all its documents in another way than by their mean, such as a perplexity."""

    score: float
    stderr: float
    """nan where the task gives none."""
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One task in one panel."""

    label: str
    task: TaskSpec
    metrics: tuple[str, ...]
    """The primary metric first."""
    scores: Mapping[Key, NDArray[np.float64]]
    """Each contender's scores over all items that have one."""
    aggregates: Mapping[Key, Aggregate]
    """For metrics that are no mean over items; such a key is not in `scores`."""
    pairs: Mapping[Key, Pairs]
    """By the latent's label."""
    zero_pairs: Mapping[Key, Pairs]
    """The same, with the same checkpoint's scores under zeroed Z in the baseline's place."""
    rerun_pairs: Mapping[str, Pairs]
    """By metric, the baseline's scores and those of its rerun, in the latent's place; empty where it was not rerun."""
    chance: float
    """The score of guessing among the choices; 0 where there are none."""
    states: Mapping[str, str]
    """By contender's label, `done`, `not finished` or `not run`."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One contender's samples of the task."""

    contender: Contender
    entry: Entry
    samples: Samples
    items: pd.DataFrame


def gather_evidence(catalog: Catalog, matchup: Matchup, label: str) -> Evidence:
    """Read the samples of every contender of the panel on one task.

    Raises:
        StoreError: samples can't be read.
    """
    contenders = [c for c in (matchup.baseline, *matchup.latents) if c is not None]
    task = catalog.tasks[label]
    entries = {contender: catalog.entry(contender, label) for contender in contenders}
    jobs = [job for who, entry in entries.items() if (job := _read(entry, who, task.cluster_field))]
    metrics = _order_metrics(task.metric, jobs)
    pairings, zero_pairings = _pair(jobs, matchup), _pair_with_zero(jobs, matchup)
    scores = {(job.contender.label, m): values for job in jobs for m in metrics if len(values := _scores(job, m))}
    again = _rerun(catalog, jobs, matchup, label)
    catalog.shelf.update(
        {
            (who, label): kept
            for who, job in [*((job.contender.label, job) for job in jobs), *again.items()]
            if (kept := _keep(job, task.metric))
        }
    )
    reruns = {who: _paired(jobs[0], job) for who, job in again.items()}
    aggregates = {
        (job.contender.label, m): aggregate for job in jobs for m in metrics if (aggregate := _aggregate(job, m))
    }
    return Evidence(
        label=label,
        task=task,
        metrics=metrics,
        scores={key: values for key, values in scores.items() if key not in aggregates},
        aggregates=aggregates,
        pairs=_pairs_by_metric(pairings, metrics),
        zero_pairs=_pairs_by_metric(zero_pairings, metrics),
        rerun_pairs={metric: pairs for (_, metric), pairs in _pairs_by_metric(reruns, metrics).items()},
        chance=max((chance_of_guessing(job.samples) for job in jobs), default=0.0),
        states={c.label: _state(catalog.entry(c, label)) for c in contenders},
        notes=tuple(_notes(jobs, pairings, task)),
    )


def _read(entry: Entry | None, contender: Contender, cluster_field: str | None) -> _Job | None:
    if entry is None or entry.result is None:
        return None
    samples = read_samples(entry.store.samples(entry.job.id), cluster_field)
    return _Job(contender=contender, entry=entry, samples=samples, items=item_frame(samples))


def _rerun(catalog: Catalog, jobs: Sequence[_Job], matchup: Matchup, label: str) -> dict[str, _Job]:
    """The job that answers again what the baseline's does, by a label of its own; empty where either is not done."""
    if not jobs or jobs[0].contender is not matchup.baseline:
        return {}
    baseline = jobs[0].contender
    job = _read(catalog.reruns.get((baseline.label, label)), baseline, catalog.tasks[label].cluster_field)
    return {} if job is None else {baseline.label + AGAIN: job}


def _state(entry: Entry | None) -> str:
    if entry is None:
        return "not run"
    return "not finished" if entry.result is None else "done"


def _order_metrics(primary: str, jobs: Sequence[_Job]) -> tuple[str, ...]:
    found = {name for job in jobs for name in job.samples.metrics}
    found.update(name for job in jobs if job.entry.result for name in job.entry.result.metrics)
    return (primary, *sorted(found - {primary}))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paired:
    """Two jobs and the items that they share."""

    baseline: _Job
    latent: _Job
    pairing: Pairing


def _pair(jobs: Sequence[_Job], matchup: Matchup) -> dict[str, _Paired]:
    baseline = next((job for job in jobs if job.contender is matchup.baseline), None)
    if baseline is None:
        return {}
    return {job.contender.label: _paired(baseline, job) for job in jobs if job.contender in matchup.latents}


def _pair_with_zero(jobs: Sequence[_Job], matchup: Matchup) -> dict[str, _Paired]:
    """Each arm of a latent checkpoint with that checkpoint's arm of zeroed Z."""
    by_label = {job.contender.label: job for job in jobs}
    zeros = {job.contender.label: zero_arm(job.contender, matchup.latents) for job in jobs}
    return {
        who: _paired(by_label[zero.label], by_label[who])
        for who, zero in zeros.items()
        if zero is not None and zero.label in by_label
    }


def _keep(job: _Job, metric: str) -> ItemScores | None:
    """What `noise.py` and `trainings.py` need of a job; None where no item has the metric."""
    column = metric_column(metric)
    if column not in job.items:
        return None
    items = job.items.dropna(subset=[column])
    draws = draw_matrix(job.samples, metric, items["doc_id"].to_numpy(dtype=np.int64))
    keys = np.asarray(pd.util.hash_pandas_object(items[ITEM], index=False), dtype=np.uint64)
    return ItemScores(
        keys=keys,
        scores=items[column].to_numpy(dtype=np.float64) if draws is None else draws,
        clusters=items["cluster"].to_numpy(dtype=np.uint64) if len(items) and items["has_cluster"].all() else None,
        chance=chance_of_guessing(job.samples),
    )


def _paired(baseline: _Job, latent: _Job) -> _Paired:
    return _Paired(baseline=baseline, latent=latent, pairing=pair_items(baseline.items, latent.items))


def _scores(job: _Job, metric: str) -> NDArray[np.float64]:
    column = metric_column(metric)
    if column not in job.items:
        return np.empty(0)
    return job.items[column].dropna().to_numpy(dtype=np.float64)


def _aggregate(job: _Job, metric: str) -> Aggregate | None:
    """The task's own score, where it is not the mean over items nor over samples."""
    result, items = job.entry.result, _scores(job, metric)
    if result is None or metric not in result.metrics:
        return None
    score = result.metrics[metric]
    if math.isnan(score) or (math.isinf(score) and len(items)):
        return None
    if any(math.isclose(score, mean, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) for mean in _means(job, metric, items)):
        return None
    return Aggregate(score=score, stderr=result.stderrs.get(metric, math.nan), n=result.num_samples)


def _means(job: _Job, metric: str, items: NDArray[np.float64]) -> list[float]:
    """What a mean could be: over items, over samples, or over samples with the unscored ones as 0."""
    if not len(items):
        return []
    column = job.samples.frame[metric_column(metric)]
    return [float(items.mean()), float(column.mean()), float(column.sum()) / len(column)]


def _pairs_by_metric(found: Mapping[str, _Paired], metrics: Sequence[str]) -> dict[Key, Pairs]:
    return {(who, m): pairs for who, paired in found.items() for m in metrics if (pairs := _pairs(paired, m))}


def _pairs(paired: _Paired, metric: str) -> Pairs | None:
    frame, names = paired.pairing.pairs, [f"{metric_column(metric)}_{side}" for side in ("baseline", "latent")]
    if not set(names) <= set(frame.columns):
        return None
    scored = frame.dropna(subset=names)
    baseline_ids = scored["doc_id_baseline"].to_numpy(dtype=np.int64)
    latent_ids = scored["doc_id_latent"].to_numpy(dtype=np.int64)
    is_clustered = len(scored) > 0 and bool(scored["has_cluster_baseline"].all())
    return Pairs(
        baseline=scored[names[0]].to_numpy(dtype=np.float64),
        latent=scored[names[1]].to_numpy(dtype=np.float64),
        baseline_ids=baseline_ids,
        latent_ids=latent_ids,
        baseline_draws=draw_matrix(paired.baseline.samples, metric, baseline_ids),
        latent_draws=draw_matrix(paired.latent.samples, metric, latent_ids),
        clusters=scored["cluster_baseline"].to_numpy(dtype=np.uint64) if is_clustered else None,
    )


def _notes(jobs: Sequence[_Job], pairings: Mapping[str, _Paired], task: TaskSpec) -> list[str]:
    notes = [f"partial: first {count(task.limit, 'document')}"] if task.limit is not None else []
    for job in jobs:
        notes += _job_notes(job)
    notes += [f"{who}: {found.pairing.note}" for who, found in pairings.items() if found.pairing.note]
    if task.cluster_field is not None and not all(job.samples.frame["has_cluster"].all() for job in jobs):
        notes.append(f"not all samples say their {one_line(task.cluster_field)}, so items are taken as independent")
    return notes


def _job_notes(job: _Job) -> list[str]:
    who, frame, notes = job.contender.label, job.samples.frame, []
    if job.entry.job.task.output_type == "loglikelihood_rolling" and job.contender.latents is not None:
        notes.append(
            f"{who}: an average over draws from the prior, which lies below the likelihood, and far below it for long "
            "texts: no loss of this model; `ft-eval probe --texts` gives its bounds beside the baseline's exact value"
        )
    if num_truncated := int(job.items["is_truncated"].sum()):
        notes.append(
            f"{who}: {count(num_truncated, 'prompt')} of {len(job.items):,} cut on the left to fit the context"
        )
    if num_unscored := int((~frame["is_scored"]).sum()):
        reasons = "; ".join(f"{one_line(text)} ×{num}" for text, num in job.samples.errors[:3])
        notes.append(
            f"{who}: {count(num_unscored, 'sample')} of {len(frame):,} could not be scored and count neither as right "
            f"nor as wrong ({reasons})"
        )
    if num_open := int(frame["may_flip"].sum()):
        notes.append(
            f"{who}: {count(num_open, 'answer')} of {len(frame):,} could change with other draws of Z, since the best "
            "two choices are within the Monte Carlo error"
        )
    return notes
