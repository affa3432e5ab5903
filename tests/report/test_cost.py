"""Costs add up over finished jobs, and time is compared over what both finished."""

from dataclasses import replace

import pytest

from ft_eval.records import LatentPolicy, LatentSource, Verification
from ft_eval.report import build_report
from ft_eval.report.render import render_html
from tests.report.fakes import FakeStore, baseline, job, latent, store, task
from tests.report.page import Page

TASKS = (task("a"), task("b"))


def run() -> FakeStore:
    return store({job(arm, spec): [1.0, 0.0] for arm in (baseline(), latent()) for spec in TASKS})


def test_a_checkpoints_cost_is_the_sum_over_its_jobs():
    base, other = build_report([run()]).costs
    assert (base.label, base.num_jobs, base.seconds, base.num_prompt_tokens) == ("base", 2, 20.0, 2000)
    assert base.tokens_per_second == pytest.approx(3000 / 20)
    assert base.seconds_ratio is None
    assert other.seconds_ratio == pytest.approx(1.1)
    assert other.num_parameters == 1_601_000_000


def test_time_is_compared_over_the_tasks_that_both_finished():
    fake = run()
    owner = job(baseline(), TASKS[1])
    fake.results[owner.id] = replace(fake.results[owner.id], seconds=1000.0)
    del fake.results[job(latent(), TASKS[1]).id]
    other = build_report([fake]).costs[1]
    assert other.num_jobs == 1
    assert other.seconds_ratio == pytest.approx(1.1)


def test_peak_memory_is_the_largest_not_the_sum():
    fake = run()
    owner = job(latent(), TASKS[0])
    fake.results[owner.id] = replace(fake.results[owner.id], peak_memory_bytes=7 * 2**30)
    assert build_report([fake]).costs[1].peak_memory_bytes == 7 * 2**30


def test_every_finished_job_has_its_own_row():
    fake = run()
    del fake.results[job(latent(), TASKS[1]).id]
    rows = build_report([fake]).job_costs
    assert [(row.task, row.label) for row in rows] == [("a", "base"), ("a", "latent"), ("b", "base")]


def test_what_was_asked_again_adds_up_per_checkpoint_and_is_on_the_page():
    fake = run()
    assert build_report([fake]).asked_again == ()
    for spec, gap in zip(TASKS, (1e-5, 3e-5), strict=True):
        owner = job(latent(), spec)
        found = Verification(num_requests=8, num_changed=1, largest_gap_nats=gap)
        fake.results[owner.id] = replace(fake.results[owner.id], verification=found)
    (row,) = build_report([fake]).asked_again
    assert (row.label, row.num_requests, row.num_changed, row.largest_gap_nats) == ("latent", 16, 2, 3e-5)
    page = Page(render_html(build_report([fake])))
    (table,) = [table for table in page.tables if table.caption == "Answers that were asked for again"]
    assert [(one.heading, one.numbers) for one in table.rows[1:]] == [("latent", [3e-5])]


def test_a_prompts_token_goes_through_the_encoder_where_z_comes_from_it():
    spec, base = task(), baseline(flops_per_token=1000)
    used = latent(flops_per_token=1000, encoder_flops_per_token=40)
    arms = [job(used, spec, latents=LatentPolicy(source=source)) for source in LatentSource]
    costs = build_report([store({job(base, spec): [1.0], **{arm: [1.0] for arm in arms}})]).costs
    found = {cost.label: (cost.flops_per_token, cost.flops_per_prompt_token) for cost in costs}
    asked = {LatentSource.POSTERIOR, LatentSource.SHUFFLED}
    expected = {f"latent {source}": (1000, 1040 if source in asked else 1000) for source in LatentSource}
    assert found == {"base": (1000, 1000), **expected}
