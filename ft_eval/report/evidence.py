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
    chance_of_guessing,
    draw_matrix,
    metric_column,
)
from ft_eval.report.read_jobs import (
    PairedJobs,
    ReadJob,
    find_other_form,
    is_better_unpaired,
    job_notes,
    pair_jobs,
    read_job,
    refuse_other_content,
    unpaired_notes,
)
from ft_eval.stats import Independent

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
    samples: Mapping[Key, tuple[Independent, Independent]]
    """What was asked to be compared though it does not pair: the baseline's and the latent's items, each its own."""
    rerun_pairs: Mapping[str, Pairs]
    """By metric, the baseline's scores and those of its rerun, in the latent's place; empty where it was not rerun."""
    chance: float
    """The score of guessing among the choices; 0 where there are none."""
    states: Mapping[str, str]
    """By contender's label, `done`, `not finished` or `not run`."""
    notes: tuple[str, ...]


def gather_evidence(catalog: Catalog, matchup: Matchup, label: str) -> Evidence:
    """Read the samples of every contender of the panel on one task.

    Raises:
        StoreError: samples can't be read.
    """
    contenders = [c for c in (matchup.baseline, *matchup.latents) if c is not None]
    task = catalog.tasks[label]
    entries = {contender: catalog.entry(contender, label) for contender in contenders}
    other_form = find_other_form(catalog, matchup, label)
    if other_form is not None and matchup.baseline is not None:
        entries[matchup.baseline] = other_form
    jobs = [job for who, entry in entries.items() if (job := read_job(entry, who, task.cluster_field))]
    metrics = _order_metrics(task.metric, jobs)
    pairings, zero_pairings = _pair(jobs, matchup), _pair_with_zero(jobs, matchup)
    unpaired = {who: found for who, found in pairings.items() if catalog.allows_unpaired and is_better_unpaired(found)}
    if not catalog.allows_unpaired:
        refuse_other_content([*pairings.values(), *zero_pairings.values()], label)
    pairings = {who: found for who, found in pairings.items() if who not in unpaired}
    scores = {(job.contender.label, m): values for job in jobs for m in metrics if len(values := _scores(job, m))}
    again = _rerun(catalog, jobs, matchup, label)
    catalog.shelf.update(
        {
            (who, label): kept
            for who, job in [
                *((job.contender.label, job) for job in jobs if job.entry is not other_form),
                *again.items(),
            ]
            if (kept := _keep(job, task.metric))
        }
    )
    reruns = {who: pair_jobs(jobs[0], job) for who, job in again.items()}
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
        samples={(who, m): both for who, found in unpaired.items() for m in metrics if (both := _samples(found, m))},
        rerun_pairs={metric: pairs for (_, metric), pairs in _pairs_by_metric(reruns, metrics).items()},
        chance=max((chance_of_guessing(job.samples) for job in jobs), default=0.0),
        states={c.label: _state(entries[c]) for c in contenders},
        notes=(*unpaired_notes(unpaired), *_notes(jobs, pairings, task)),
    )


def _rerun(catalog: Catalog, jobs: Sequence[ReadJob], matchup: Matchup, label: str) -> dict[str, ReadJob]:
    """The job that answers again what the baseline's does, by a label of its own; empty where either is not done."""
    if not jobs or jobs[0].contender is not matchup.baseline:
        return {}
    baseline = jobs[0].contender
    job = read_job(catalog.reruns.get((baseline.label, label)), baseline, catalog.tasks[label].cluster_field)
    return {} if job is None else {baseline.label + AGAIN: job}


def _state(entry: Entry | None) -> str:
    if entry is None:
        return "not run"
    return "not finished" if entry.result is None else "done"


def _order_metrics(primary: str, jobs: Sequence[ReadJob]) -> tuple[str, ...]:
    found = {name for job in jobs for name in job.samples.metrics}
    found.update(name for job in jobs if job.entry.result for name in job.entry.result.metrics)
    return (primary, *sorted(found - {primary}))


def _pair(jobs: Sequence[ReadJob], matchup: Matchup) -> dict[str, PairedJobs]:
    baseline = next((job for job in jobs if job.contender is matchup.baseline), None)
    if baseline is None:
        return {}
    return {job.contender.label: pair_jobs(baseline, job) for job in jobs if job.contender in matchup.latents}


def _pair_with_zero(jobs: Sequence[ReadJob], matchup: Matchup) -> dict[str, PairedJobs]:
    """Each arm of a latent checkpoint with that checkpoint's arm of zeroed Z."""
    by_label = {job.contender.label: job for job in jobs}
    zeros = {job.contender.label: zero_arm(job.contender, matchup.latents) for job in jobs}
    return {
        who: pair_jobs(by_label[zero.label], by_label[who])
        for who, zero in zeros.items()
        if zero is not None and zero.label in by_label
    }


def _keep(job: ReadJob, metric: str) -> ItemScores | None:
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


def _scores(job: ReadJob, metric: str) -> NDArray[np.float64]:
    column = metric_column(metric)
    if column not in job.items:
        return np.empty(0)
    return job.items[column].dropna().to_numpy(dtype=np.float64)


def _aggregate(job: ReadJob, metric: str) -> Aggregate | None:
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


def _means(job: ReadJob, metric: str, items: NDArray[np.float64]) -> list[float]:
    """What a mean could be: over items, over samples, or over samples with the unscored ones as 0."""
    if not len(items):
        return []
    column = job.samples.frame[metric_column(metric)]
    return [float(items.mean()), float(column.mean()), float(column.sum()) / len(column)]


def _samples(found: PairedJobs, metric: str) -> tuple[Independent, Independent] | None:
    """Both sides' items, each its own; None where a side has no such score, or its score is no mean over items."""
    if any(_aggregate(job, metric) for job in (found.baseline, found.latent)):
        return None
    baseline, latent = _independent(found.baseline, metric), _independent(found.latent, metric)
    return None if baseline is None or latent is None else (baseline, latent)


def _independent(job: ReadJob, metric: str) -> Independent | None:
    column = metric_column(metric)
    if column not in job.items:
        return None
    items = job.items.dropna(subset=[column])
    has_clusters = len(items) > 0 and bool(items["has_cluster"].all())
    return Independent(
        scores=items[column].to_numpy(dtype=np.float64),
        clusters=items["cluster"].to_numpy(dtype=np.uint64) if has_clusters else None,
    )


def _pairs_by_metric(found: Mapping[str, PairedJobs], metrics: Sequence[str]) -> dict[Key, Pairs]:
    return {(who, m): pairs for who, paired in found.items() for m in metrics if (pairs := _pairs(paired, m))}


def _pairs(paired: PairedJobs, metric: str) -> Pairs | None:
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


def _notes(jobs: Sequence[ReadJob], pairings: Mapping[str, PairedJobs], task: TaskSpec) -> list[str]:
    notes = [f"partial: first {count(task.limit, 'document')}"] if task.limit is not None else []
    for job in jobs:
        notes += job_notes(job)
    notes += [f"{who}: {found.pairing.note}" for who, found in pairings.items() if found.pairing.note]
    if task.cluster_field is not None and not all(job.samples.frame["has_cluster"].all() for job in jobs):
        notes.append(f"not all samples say their {one_line(task.cluster_field)}, so items are taken as independent")
    return notes
