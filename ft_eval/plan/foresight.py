"""What a plan could find, before it runs: the smallest detectable difference per task. Asks no model, knows no score.

Nobody knows beforehand on how many items two models will differ, so each task is shown under two assumptions. The level
is Holm's for the family that the report takes where none is declared: all tasks times all candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ft_eval.records import Arm, Job, LatentSource, RunPlan, TaskGroup, TaskSpec
from ft_eval.stats import (
    DetectableEffect,
    Target,
    detectable_binary,
    detectable_mean,
    planned_variance,
)

DISCORDANCES = (0.1, 0.2)
"""Shares of the items on which one draw of either model is assumed to differ."""
ITEM_SHARE = 0.5
"""The part of that which no number of draws averages away, where there are several."""
_CANDIDATES = (LatentSource.PRIOR, LatentSource.POSTERIOR)
_LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskForesight:
    """One task or group."""

    name: str
    num_items: int
    num_draws: int
    """Of the latent, per item; 1 where draws are averaged inside a likelihood."""
    effects: tuple[DetectableEffect, ...]
    """One per discordance in `DISCORDANCES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What a plan could find."""

    tasks: tuple[TaskForesight, ...]
    """Empty where no latent stands beside its baseline, or no task has scores per item."""
    num_candidates: int
    target: Target


def foresee(plan: RunPlan) -> Foresight:
    """The smallest differences that the plan's comparisons find with 80 % power."""
    candidates = [job for job in plan.jobs if _is_candidate(job, plan)]
    baselines = {job.checkpoint.baseline for job in candidates}
    arms = {(job.checkpoint, job.latents) for job in candidates}
    num_candidates = max((sum(arm.baseline == name for arm, _ in arms) for name in baselines), default=0)
    rows = _rows(plan) if candidates else []
    target = Target(alpha=_LEVEL / max(1, len(rows) * num_candidates))
    draws = min((job.latents.num_draws for job in candidates if job.latents), default=1)
    return Foresight(
        tasks=tuple(_foresee(name, tasks, group, draws, target) for name, tasks, group in rows),
        num_candidates=num_candidates,
        target=target,
    )


def _is_candidate(job: Job, plan: RunPlan) -> bool:
    """Whether the job's arm is held to a baseline of the plan and could be what one goes on with."""
    names = {checkpoint.name for checkpoint in plan.checkpoints if checkpoint.arm is Arm.BASELINE}
    return job.latents is not None and job.latents.source in _CANDIDATES and job.checkpoint.baseline in names


def _rows(plan: RunPlan) -> list[tuple[str, tuple[TaskSpec, ...], TaskGroup | None]]:
    """Groups, and the tasks of none, as the report shows them; tasks without a score per item are left out."""
    by_name = {task.name: task for task in plan.tasks if task.output_type != "loglikelihood_rolling" and task.num_docs}
    grouped = {name for group in plan.groups for name in group.tasks}
    members = {group.name: tuple(by_name[name] for name in group.tasks if name in by_name) for group in plan.groups}
    rows = [(group.name, members[group.name], group) for group in plan.groups if members[group.name]]
    return [*rows, *((name, (task,), None) for name, task in by_name.items() if name not in grouped)]


def _foresee(
    name: str, tasks: Sequence[TaskSpec], group: TaskGroup | None, num_draws: int, target: Target
) -> TaskForesight:
    """Draws are separate scores for completions; a likelihood averages them into one."""
    draws = num_draws if all(task.output_type == "generate_until" for task in tasks) else 1
    sizes = [task.num_docs for task in tasks]
    is_macro = group is not None and not group.weight_by_size and len(tasks) > 1
    n = len(sizes) ** 2 / sum(1 / size for size in sizes) if is_macro else sum(sizes)
    return TaskForesight(
        name=name,
        num_items=sum(sizes),
        num_draws=draws,
        effects=tuple(_effect(round(n), discordance, draws, target, is_macro=is_macro) for discordance in DISCORDANCES),
    )


def _effect(n: int, discordance: float, num_draws: int, target: Target, *, is_macro: bool) -> DetectableEffect:
    """For a macro mean, `n` is the number of items in one heap whose mean would be as sure."""
    if num_draws == 1 and not is_macro:
        return detectable_binary(n, discordance, target=target)
    variance = planned_variance(discordance, ITEM_SHARE).per_item(1, num_draws)
    return detectable_mean(n, variance, target=target)
