"""Checkpoints × tasks × latent policies → a plan of jobs, fixed before anything runs. Knows no model and no answer."""

from ft_eval.plan.build import PlannedRun, RunOptions, plan_run
from ft_eval.plan.foresight import DISCORDANCES, Foresight, foresee
from ft_eval.plan.workload import Workload, estimate_workload

__all__ = [
    "DISCORDANCES",
    "Foresight",
    "PlannedRun",
    "RunOptions",
    "Workload",
    "estimate_workload",
    "foresee",
    "plan_run",
]
