"""Who ran what in a set of runs: contenders, their pairs, tasks and groups. Reads plans and results, never samples.

A contender is a checkpoint with one latent policy and one seed. A task is one wherever its name, version and few-shot
number are equal; documents of runs with other limits are matched by content later.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ft_eval.errors import ReportError
from ft_eval.records import (
    Arm,
    Checkpoint,
    Job,
    LatentPolicy,
    LatentSource,
    TaskGroup,
    TaskResult,
    TaskSpec,
)
from ft_eval.report.columns import RunReader
from ft_eval.report.tables import Contender

ContenderKey = tuple[str, str, LatentPolicy | None, int]
TaskKey = tuple[str, str, int]
AGAIN = ", again"
"""Ends the label of a contender's rerun."""
Shelf = dict[tuple[str, str], "ItemScores"]
_CONTROLS = frozenset({LatentSource.ZERO, LatentSource.SHUFFLED, LatentSource.FIXED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemScores:
    """What a contender has on the items of one task, by its primary metric."""

    keys: NDArray[np.uint64]
    """64 bits of a hash over each item's document, prompt, target and occurrence, shape (n,)."""
    scores: NDArray[np.float64]
    """(n,), or (n, K) where all items have K draws."""
    clusters: NDArray[np.uint64] | None
    """(n,); None where items are independent, or not all say theirs."""
    chance: float
    """The score of guessing among the choices; 0 where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One job, where it is stored, and its result if it is done."""

    store: RunReader
    job: Job
    result: TaskResult | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matchup:
    """A baseline and the latent contenders held to it; either side may be absent."""

    baseline: Contender | None
    latents: tuple[Contender, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """The jobs of all runs, by contender and task."""

    contenders: tuple[Contender, ...]
    tasks: Mapping[str, TaskSpec]
    """By label: the task's name, with what tells it apart where the name alone does not."""
    groups: tuple[TaskGroup, ...]
    """Their tasks named by label."""
    entries: Mapping[tuple[str, str], Entry]
    """By (contender's label, task's label)."""
    reruns: Mapping[tuple[str, str], Entry] = field(default_factory=dict)
    """By the same, the job that answers again what the contender's own does."""
    allows_unpaired: bool = False
    """Whether what does not pair is shown and left out, instead of being refused."""
    shelf: Shelf = field(default_factory=dict)
    """Item scores by the same, kept while samples pass by for what joins several contenders."""

    def entry(self, contender: Contender, task: str) -> Entry | None:
        """The contender's job on a task, or None when there is none."""
        return self.entries.get((contender.label, task))

    @property
    def missing(self) -> tuple[str, ...]:
        """The jobs that are not done, as `checkpoint: task`."""
        again = [f"{who}{AGAIN}: {task}" for (who, task), entry in self.reruns.items() if entry.result is None]
        return (*(f"{who}: {task}" for (who, task), entry in self.entries.items() if entry.result is None), *again)

    @property
    def num_jobs(self) -> int:
        """Jobs that the runs are of."""
        return len(self.entries) + len(self.reruns)


def make_catalog(stores: Sequence[RunReader]) -> Catalog:
    """Read the plans and the results of the runs.

    Raises:
        ReportError: no run, no job, or one checkpoint name for two sets of weights.
        StoreError: a result can't be read.
    """
    jobs = [(store, job) for store in stores for job in store.plan.jobs if not job.is_rerun]
    if not jobs:
        raise ReportError("no jobs in these runs, expected at least one; give the folder that `ft-eval run` wrote")
    _refuse_two_weights(job.checkpoint for _, job in jobs)
    contenders = _label_contenders([job for _, job in jobs])
    tasks = _label_tasks([job.task for _, job in jobs])
    entries: dict[tuple[str, str], Entry] = {}
    for store, job in jobs:
        key = (contenders[_contender_key(job)].label, tasks[_task_key(job.task)])
        entry = Entry(store=store, job=job, result=store.result(job.id))
        entries[key] = max(entries.get(key, entry), entry, key=_completeness)
    specs = {label: _widest(entries.values(), key) for key, label in tasks.items()}
    groups = _label_groups([group for store in stores for group in store.plan.groups], tasks)
    return Catalog(
        contenders=tuple(contenders.values()),
        tasks=specs,
        groups=groups,
        entries=entries,
        reruns=_find_reruns(stores, contenders, tasks),
    )


def _find_reruns(
    stores: Sequence[RunReader], contenders: Mapping[ContenderKey, Contender], tasks: Mapping[TaskKey, str]
) -> dict[tuple[str, str], Entry]:
    """The jobs that answer again what another job of their own run does, by that job's contender and task."""
    found: dict[tuple[str, str], Entry] = {}
    for store in stores:
        first = {_what_is_run(job): job for job in store.plan.jobs if not job.is_rerun}
        for job in store.plan.jobs:
            if job.is_rerun and (own := first.get(_what_is_run(job))):
                key = (contenders[_contender_key(own)].label, tasks[_task_key(own.task)])
                entry = Entry(store=store, job=job, result=store.result(job.id))
                found[key] = max(found.get(key, entry), entry, key=_completeness)
    return found


def _what_is_run(job: Job) -> tuple[str, str, LatentPolicy | None, TaskKey]:
    return job.checkpoint.name, job.checkpoint.dtype, job.latents, _task_key(job.task)


def match_up(contenders: Sequence[Contender]) -> tuple[Matchup, ...]:
    """Each baseline with its latents in order, then the latents that have no baseline here.

    A latent goes to the baseline of its seed where its baseline was run with several.
    """
    baselines = [c for c in contenders if c.checkpoint.arm is Arm.BASELINE]
    latents = [c for c in contenders if c.checkpoint.arm is Arm.LATENT]
    owner = {latent.label: _baseline_of(latent, baselines) for latent in latents}
    pairs = [Matchup(baseline=base, latents=tuple(c for c in latents if owner[c.label] is base)) for base in baselines]
    alone = [Matchup(baseline=None, latents=(c,)) for c in latents if owner[c.label] is None]
    return tuple(sorted(pairs, key=lambda pair: not pair.latents)) + tuple(alone)


def _baseline_of(latent: Contender, baselines: Sequence[Contender]) -> Contender | None:
    named = [base for base in baselines if base.checkpoint.name == latent.checkpoint.baseline]
    return next((base for base in named if base.seed == latent.seed), named[0] if named else None)


def zero_arm(contender: Contender, latents: Sequence[Contender]) -> Contender | None:
    """The contender's own checkpoint with Z zeroed, under the same seed; None where it was not run or is itself it."""
    found = next((c for c in latents if arm_key(c) == arm_key(contender) and is_zero(c)), None)
    return None if found is contender else found


def arm_key(contender: Contender) -> tuple[str, str, int]:
    """What the arms of one checkpoint have in common: all but the source of Z."""
    return contender.checkpoint.name, contender.checkpoint.dtype, contender.seed


def is_zero(contender: Contender) -> bool:
    """Whether its Z is switched off."""
    return contender.latents is not None and contender.latents.source is LatentSource.ZERO


def is_control(contender: Contender) -> bool:
    """Whether it is there to be compared with and could not be what one goes on with: Z zeroed, fixed, or another's."""
    return contender.latents is not None and contender.latents.source in _CONTROLS


def _contender_key(job: Job) -> ContenderKey:
    return job.checkpoint.name, job.checkpoint.dtype, job.latents, job.seed


def _task_key(task: TaskSpec) -> TaskKey:
    return task.name, task.version, task.num_fewshot


def _completeness(entry: Entry) -> tuple[bool, int]:
    return entry.result is not None, entry.job.task.num_docs


def _widest(entries: Iterable[Entry], key: TaskKey) -> TaskSpec:
    tasks = [entry.job.task for entry in entries if _task_key(entry.job.task) == key]
    return max(tasks, key=lambda task: task.num_docs)


def _refuse_two_weights(checkpoints: Iterable[Checkpoint]) -> None:
    digests: dict[str, str] = {}
    for checkpoint in checkpoints:
        digest = digests.setdefault(checkpoint.name, checkpoint.digest)
        if digest != checkpoint.digest:
            raise ReportError(
                f"checkpoint {checkpoint.name!r} stands for two sets of weights, sha256 {digest[:12] or 'unknown'} and "
                f"{checkpoint.digest[:12] or 'unknown'}; report these runs apart or rename one in checkpoints.toml"
            )


def _label_contenders(jobs: Sequence[Job]) -> dict[ContenderKey, Contender]:
    first_job = {_contender_key(job): job for job in reversed(jobs)}
    keys = list(dict.fromkeys(_contender_key(job) for job in jobs))
    contenders = {}
    for key in keys:
        job, namesakes = first_job[key], [other for other in keys if other[0] == key[0]]
        label = " ".join([key[0], *_what_tells_apart(key, namesakes)])
        contenders[key] = Contender(label=label, checkpoint=job.checkpoint, latents=job.latents, seed=job.seed)
    return contenders


def _what_tells_apart(key: ContenderKey, namesakes: Sequence[ContenderKey]) -> list[str]:
    """The dtype, the policy and the seed, each only where contenders of one name differ in it."""
    _, dtype, latents, seed = key
    words = (dtype, policy_text(latents), f"seed {seed}")
    return [word for place, word in enumerate(words, start=1) if len({other[place] for other in namesakes}) > 1]


def policy_text(latents: LatentPolicy | None) -> str:
    """Where Z comes from, in a word or two: `prior`, `prior ×8`, `prior ×8 adaptive`; `none` for a baseline."""
    if latents is None:
        return "none"
    draws = f" ×{latents.num_draws}" if latents.num_draws > 1 else ""
    more = (" adaptive" if latents.adaptive else "") + (", shared prefix" if latents.shares_prefix else "")
    return latents.source.value + draws + more


def _label_tasks(tasks: Sequence[TaskSpec]) -> dict[TaskKey, str]:
    keys = list(dict.fromkeys(_task_key(task) for task in tasks))
    num_same = Counter(name for name, _, _ in keys)
    return {
        (name, version, shots): name if num_same[name] == 1 else f"{name} ({shots}-shot, version {version})"
        for name, version, shots in keys
    }


def _label_groups(groups: Sequence[TaskGroup], tasks: Mapping[TaskKey, str]) -> tuple[TaskGroup, ...]:
    """The groups of all runs, each once, with the labels of those of their tasks that were run."""
    by_name: dict[str, TaskGroup] = {}
    for group in groups:
        rank = {name: place for place, name in enumerate(group.tasks)}
        labels = sorted((rank[name], label) for (name, _, _), label in tasks.items() if name in rank)
        if labels:
            by_name.setdefault(group.name, replace(group, tasks=tuple(label for _, label in labels)))
    return tuple(by_name.values())
