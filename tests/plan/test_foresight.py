"""The dry run's smallest detectable differences are those of the report's family, task by task."""

from dataclasses import replace
from pathlib import Path

import pytest

from ft_eval.plan import DISCORDANCES, foresee
from ft_eval.records import (
    Arm,
    Checkpoint,
    Environment,
    Job,
    LatentPolicy,
    LatentSource,
    RunPlan,
    TaskGroup,
    TaskSpec,
)
from ft_eval.stats import Target, detectable_binary, detectable_mean, planned_variance

BASE = Checkpoint(name="base", arm=Arm.BASELINE, path=Path("base"))
ONE_DRAW = (LatentPolicy(),)
ENVIRONMENT = Environment(python="3", platform="", processor="", num_threads=1, versions={})


def latent(name: str) -> Checkpoint:
    return Checkpoint(name=name, arm=Arm.LATENT, path=Path(name), baseline="base")


def task(name: str, num_docs: int, output_type: str = "generate_until") -> TaskSpec:
    return TaskSpec(
        name=name, version="1", output_type=output_type, num_fewshot=0, metric="acc", num_docs=num_docs, dataset=""
    )


def plan(tasks, policies=ONE_DRAW, latents=("l",), groups=()) -> RunPlan:
    jobs = [Job(checkpoint=BASE, task=spec, latents=None, seed=0) for spec in tasks]
    for name in latents:
        jobs += [
            Job(checkpoint=latent(name), task=spec, latents=policy, seed=0) for policy in policies for spec in tasks
        ]
    return RunPlan(jobs=tuple(jobs), groups=groups, environment=ENVIRONMENT, command="", created_at="")


def test_the_level_is_shared_by_tasks_times_candidates_and_control_arms_take_none_of_it():
    policies = [LatentPolicy(source=source) for source in LatentSource]
    found = foresee(plan([task("a", 164), task("b", 378)], policies, ("l", "m")))
    assert found.num_candidates == 4
    assert found.target.alpha == pytest.approx(0.05 / 8)


def test_single_draws_have_the_exact_power_of_their_test():
    (found,) = foresee(plan([task("a", 164)])).tasks
    expected = [detectable_binary(164, share, target=Target(alpha=0.05)) for share in DISCORDANCES]
    assert [effect.difference for effect in found.effects] == [effect.difference for effect in expected]


def test_draws_of_completions_count_and_those_inside_a_likelihood_do_not():
    tasks = [task("a", 164), task("b", 164, "multiple_choice")]
    written, chosen = foresee(plan(tasks, [LatentPolicy(num_draws=8)])).tasks
    assert (written.num_draws, chosen.num_draws) == (8, 1)
    variance = planned_variance(DISCORDANCES[0], 0.5).per_item(1, 8)
    assert written.effects[0].difference == detectable_mean(164, variance, target=Target(alpha=0.025)).difference
    assert written.effects[0].difference < chosen.effects[0].difference


@pytest.mark.parametrize("weight_by_size", [True, False])
def test_a_group_is_one_row_and_a_macro_mean_is_as_sure_as_its_smallest_tasks_let_it_be(weight_by_size):
    tasks = [task("a", 20), task("b", 2_000)]
    group = TaskGroup(name="g", tasks=("a", "b"), weight_by_size=weight_by_size)
    (found,) = foresee(plan(tasks, groups=(group,))).tasks
    (alone,) = foresee(plan([task("a", 80)])).tasks
    assert (found.name, found.num_items) == ("g", 2_020)
    assert (found.effects[1].difference < alone.effects[1].difference / 2) is weight_by_size


def test_tasks_without_a_score_per_item_and_runs_without_a_pair_are_left_out():
    assert foresee(plan([task("a", 10, "loglikelihood_rolling")])).tasks == ()
    assert foresee(plan([task("a", 10)], latents=())).tasks == ()
    alone = plan([task("a", 10)])
    jobs = tuple(replace(job, checkpoint=replace(job.checkpoint, baseline=None)) for job in alone.jobs)
    assert foresee(replace(alone, jobs=jobs)).tasks == ()


def test_too_few_items_have_no_detectable_difference_and_say_so():
    (found,) = foresee(plan([task("a", 3)])).tasks
    assert all(effect.reason for effect in found.effects)
