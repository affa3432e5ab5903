"""Jobs as a panel reads them: one contender's samples of one task, two of them paired, and what to warn of in either.

Refuses pairs whose documents are not the same. Holds frames without texts, and knows no statistics.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ft_eval.errors import ReportError
from ft_eval.records import TaskSpec
from ft_eval.report.catalog import Catalog, Entry, Matchup
from ft_eval.report.formats import count, one_line
from ft_eval.report.frames import Samples, item_frame, read_samples
from ft_eval.report.pairing import Pairing, pair_items
from ft_eval.report.tables import Contender


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadJob:
    """One contender's samples of the task."""

    contender: Contender
    entry: Entry
    samples: Samples
    items: pd.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedJobs:
    """Two jobs and the items that they share."""

    baseline: ReadJob
    latent: ReadJob
    pairing: Pairing


def read_job(entry: Entry | None, contender: Contender, cluster_field: str | None) -> ReadJob | None:
    """Read its samples; None where it is not done."""
    if entry is None or entry.result is None:
        return None
    samples = read_samples(entry.store.batches(entry.job.id), cluster_field)
    return ReadJob(contender=contender, entry=entry, samples=samples, items=item_frame(samples))


def pair_jobs(baseline: ReadJob, latent: ReadJob) -> PairedJobs:
    """Match the items of two jobs by content."""
    return PairedJobs(baseline=baseline, latent=latent, pairing=pair_items(baseline.items, latent.items))


def refuse_other_content(found: Sequence[PairedJobs], label: str) -> None:
    """Where two contenders have a document of one number, it must be the same document, prompt and target."""
    for one in found:
        if one.pairing.field:
            base, latent = one.baseline.contender.label, one.latent.contender.label
            raise ReportError(
                f"{label}: document {one.pairing.doc_id} has another {one.pairing.field_name} for {latent} than for "
                f"{base}, so they did not answer the same questions; run both on one version of the task and its data, "
                "or pass --unpaired to compare the documents that do agree, or else both sides as two samples"
            )


def is_better_unpaired(found: PairedJobs) -> bool:
    """Whether the two answered other questions: less than half of the smaller side's items pair."""
    num_items = min(len(found.baseline.items), len(found.latent.items))
    return num_items > 0 and 2 * len(found.pairing.pairs) < num_items


def unpaired_notes(found: Mapping[str, PairedJobs]) -> list[str]:
    """Which contenders are compared item sets against item sets, and why they don't pair."""
    return [_unpaired_note(who, both) for who, both in found.items()]


def _unpaired_note(who: str, both: PairedJobs) -> str:
    base = both.baseline
    mine, its = both.latent.entry.job.task, base.entry.job.task
    if (mine.version, mine.num_fewshot) != (its.version, its.num_fewshot):
        my_form, its_form = _forms(mine, its)
        why = f"{my_form} against {its_form}"
    else:
        why = f"another {both.pairing.field_name}" if both.pairing.field else "other documents"
    return f"unpaired: {who} and {base.contender.label} are compared as two samples of their own items ({why})"


def find_other_form(catalog: Catalog, matchup: Matchup, label: str) -> Entry | None:
    """The baseline's job on the same task in another version or few-shot number, where that may stand in for its own.

    Only where unpaired comparisons were asked for, and neither the baseline has this form nor a latent the other.
    """
    base, name = matchup.baseline, catalog.tasks[label].name
    if base is None or not catalog.allows_unpaired or catalog.entry(base, label) is not None:
        return None
    others = [other for other, task in catalog.tasks.items() if task.name == name and catalog.entry(base, other)]
    return catalog.entry(base, others[0]) if others else None


def stands_in(catalog: Catalog, matchup: Matchup, label: str) -> bool:
    """Whether the baseline alone ran this form of a task, and is compared in the row of another form."""
    base, name = matchup.baseline, catalog.tasks[label].name
    if base is None or any(catalog.entry(latent, label) for latent in matchup.latents):
        return False
    others = [other for other, task in catalog.tasks.items() if task.name == name and other != label]
    own = catalog.entry(base, label)
    return any(
        find_other_form(catalog, matchup, other) is own and any(catalog.entry(c, other) for c in matchup.latents)
        for other in others
    )


def job_notes(job: ReadJob) -> list[str]:
    """What a reader must know of one job before using its numbers."""
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
    if num := job.samples.num_not_finite:
        notes.append(f"{who}: {count(num, 'sample')} of {len(frame):,} with a score that is no finite number; left out")
    if num_open := int(frame["may_flip"].sum()):
        notes.append(
            f"{who}: {count(num_open, 'answer')} of {len(frame):,} could change with other draws of Z, since the best "
            "two choices are within the Monte Carlo error"
        )
    return notes


def refuse_other_forms(catalog: Catalog, matchups: Sequence[Matchup]) -> None:
    """A task that a latent and its baseline ran under two versions or few-shot numbers is no comparison.

    Raises:
        ReportError: there is one; both forms are named.
    """
    for matchup in matchups:
        if (base := matchup.baseline) is not None:
            for latent in matchup.latents:
                _refuse_two_forms(catalog, base, latent)


def _refuse_two_forms(catalog: Catalog, base: Contender, latent: Contender) -> None:
    ran = {who: {label for label in catalog.tasks if catalog.entry(who, label)} for who in (base, latent)}
    for label in catalog.tasks:
        if label in ran[latent] - ran[base]:
            task = catalog.tasks[label]
            others = [catalog.tasks[other] for other in catalog.tasks if other in ran[base]]
            other = next((other for other in others if other.name == task.name), None)
            if other is not None:
                raise ReportError(_two_forms(task, other, latent.label, base.label))


def _two_forms(task: TaskSpec, other: TaskSpec, latent: str, baseline: str) -> str:
    mine, its = _forms(task, other)
    return (
        f"{task.name}: {latent} ran it with {mine} and {baseline} with {its}, so there is no comparison; run both "
        "alike, or pass --unpaired to compare them as two samples"
    )


def _forms(task: TaskSpec, other: TaskSpec) -> tuple[str, str]:
    """What tells two forms of one task apart, of each."""
    if task.num_fewshot == other.num_fewshot:
        return f"version {task.version}", f"version {other.version}"
    return f"{task.num_fewshot} few-shot examples", f"{other.num_fewshot} few-shot examples"
