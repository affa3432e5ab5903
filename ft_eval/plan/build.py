"""From what the user asked for to a plan and the tasks it names. Nothing is written and no weights are loaded here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from ft_eval.config import load_checkpoints
from ft_eval.environment import collect_environment, version_remarks
from ft_eval.errors import UsageError, did_you_mean, remark
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import LoadedTasks, TaskOptions, load_tasks
from ft_eval.model.weights import Signature, signature
from ft_eval.plan.resolve import resolve_checkpoints
from ft_eval.records import Arm, Checkpoint, EngineOptions, Job, LatentPolicy, Registration, RunPlan, TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Everything the user may say about a run, checked in form but not yet looked up."""

    checkpoints: tuple[str, ...] = ()
    checkpoints_file: Path | None = None
    adapter: str | None = None
    """The class that runs checkpoints in no known layout."""
    allow_nonfinite: bool = False
    """Whether weights may be NaN or infinite."""
    tasks: tuple[str, ...] = ()
    task_options: TaskOptions = field(default_factory=TaskOptions)
    latents: tuple[LatentPolicy, ...] = ()
    """The arms of every latent checkpoint; none means the prior with one draw."""
    seed: int
    reruns_baseline: bool = False
    """Whether each baseline answers everything once more, with another seed and in another order."""
    primary: tuple[str, ...] = ()
    """The tasks and groups that the verdict is about; empty: those of the checkpoints file, else all."""
    margin_points: float | None = None
    registered: Registration | None = None
    """The plan that was written beforehand."""
    dtype: str = "auto"
    engine: EngineOptions = field(default_factory=EngineOptions)
    source: DataSource = field(default_factory=DataSource)
    command: str

    def __post_init__(self) -> None:
        """Check what needs no look-up.

        Raises:
            UsageError: a number is out of its range.
        """
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"--seed {self.seed}: it must be at least 0 and below 2^63")
        if self.margin_points is not None and not 0.0 < self.margin_points < 100.0:
            raise UsageError(f"--margin {self.margin_points:g}: expected points above 0 and below 100")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A plan, and what it takes to carry it out in this process."""

    plan: RunPlan
    tasks: LoadedTasks
    source: DataSource
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    """By checkpoint, how its files looked when they were read: a run stops when they change."""


def plan_run(options: RunOptions) -> PlannedRun:
    """Look everything up and lay out the jobs: every checkpoint on every task, one checkpoint after the other.

    Raises:
        FtEvalError: anything the user named that can't be used; see `resolve_checkpoints` and `load_tasks`.
    """
    checkpoints = resolve_checkpoints(
        options.checkpoints,
        options.checkpoints_file,
        options.dtype,
        options.adapter,
        allow_nonfinite=options.allow_nonfinite,
    )
    signatures = {checkpoint.name: signature(checkpoint.path) for checkpoint in checkpoints}
    tasks = load_tasks(options.tasks, options.task_options, options.source)
    for text in (*tasks.remarks, *version_remarks()):
        remark(text)
    plan = RunPlan(
        jobs=_jobs(checkpoints, tasks.specs, options),
        groups=tasks.groups,
        engine=options.engine,
        environment=collect_environment(),
        command=options.command,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        primary=_primary(options, tasks),
        margin_points=options.margin_points,
        registered=options.registered,
    )
    return PlannedRun(plan=plan, tasks=tasks, source=options.source, signatures=signatures)


def _jobs(checkpoints: Sequence[Checkpoint], specs: Sequence[TaskSpec], options: RunOptions) -> tuple[Job, ...]:
    if options.latents and all(checkpoint.arm is Arm.BASELINE for checkpoint in checkpoints):
        names = ", ".join(checkpoint.name for checkpoint in checkpoints)
        raise UsageError(f"--latents was given, but {names} has no latent; leave it out, or add a latent checkpoint")
    if options.reruns_baseline and all(checkpoint.arm is Arm.LATENT for checkpoint in checkpoints):
        raise UsageError("--aa runs the baseline against itself, but there is no baseline among the checkpoints")
    return tuple(job for checkpoint in checkpoints for job in _jobs_of(checkpoint, specs, options))


def _jobs_of(checkpoint: Checkpoint, specs: Sequence[TaskSpec], options: RunOptions) -> list[Job]:
    """One checkpoint's; a baseline's once more where that is asked for: what differs from the first time is noise."""
    policies = _policies(checkpoint, options)
    jobs = [
        Job(checkpoint=checkpoint, task=spec, latents=policy, seed=options.seed)
        for policy in policies
        for spec in specs
    ]
    if options.reruns_baseline and checkpoint.arm is Arm.BASELINE:
        jobs += [replace(job, seed=(job.seed + 1) % 2**63, is_rerun=True) for job in jobs]
    return jobs


def _primary(options: RunOptions, tasks: LoadedTasks) -> tuple[str, ...]:
    """The declared tasks; each must be one that is run, or a group of them."""
    listed = load_checkpoints(options.checkpoints_file).primary if options.checkpoints_file else ()
    names = options.primary or listed
    known = (*(spec.name for spec in tasks.specs), *(group.name for group in tasks.groups))
    if options.primary:
        for name in names:
            if name not in known:
                near = did_you_mean(name, known)
                raise UsageError(f"--primary {name}: no task or group of this run{near}; it has {', '.join(known)}")
    return names


def _policies(checkpoint: Checkpoint, options: RunOptions) -> tuple[LatentPolicy | None, ...]:
    if checkpoint.arm is Arm.BASELINE:
        return (None,)
    return options.latents or (LatentPolicy(),)
