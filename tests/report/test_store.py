"""A report from a run on disk is the report of the same run in memory."""

from ft_eval.report import build_report, render_html
from ft_eval.store import RunStore
from tests.report.fakes import baseline, job, latent, store, task

SPECS = (task("a"), task("b", metric="f1"))
SCORES = {"base": [1.0, 0.0, 0.0, 1.0], "latent": [1.0, 1.0, 0.25, 0.0]}


def test_a_run_on_disk_gives_the_same_page(tmp_path):
    fake = store({job(arm, spec): SCORES[arm.name] for arm in (baseline(), latent()) for spec in SPECS})
    with RunStore.create(tmp_path / "run", fake.plan) as run:
        for owner in fake.plan.jobs[:-1]:
            run.finish(fake.results[owner.id], fake.stored[owner.id])
    del fake.results[fake.plan.jobs[-1].id]
    assert render_html(build_report([RunStore.open(tmp_path / "run")])) == render_html(build_report([fake]))
