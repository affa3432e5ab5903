"""A run of 25,945 documents with planted effects: the verdicts find them and nothing else; the page is small."""

import pytest

from benchmarks import synthetic_run
from ft_eval.report import Terms, build_report, render_html, score_records
from ft_eval.store import RunStore

PRIMARY = ("humaneval_plus", "mbpp_plus", "gsm8k", "hellaswag", "mmlu")


@pytest.mark.slow
def test_the_verdicts_find_what_was_planted_and_nothing_else(tmp_path):
    synthetic_run.make_run(tmp_path / "run", synthetic_run.Options())
    report = build_report([RunStore.open(tmp_path / "run")], terms=Terms(primary=PRIMARY))
    found = {(r.latent, r.task): r.verdict for r in score_records(report) if r.is_in_family}
    planted = {("planted", task): "better" if effect > 0 else "worse" for task, effect in synthetic_run.EFFECTS.items()}
    assert found == {(who, task): "unresolved" for who in ("planted", "null") for task in PRIMARY} | planted
    assert len(render_html(report).encode()) <= 2_500_000


def test_a_small_run_has_the_effects_of_the_large_one_in_its_scores():
    plan = synthetic_run.make_plan(synthetic_run.Options())
    scores = {(job.checkpoint.name, job.task.name): synthetic_run.draw_scores(job, 0) for job in plan.jobs}
    for name, effect in (("planted", synthetic_run.EFFECTS["gsm8k"]), ("null", 0.0)):
        difference = scores[name, "gsm8k"] - scores["base", "gsm8k"]
        stderr = difference.std() / len(difference) ** 0.5
        assert abs(difference.mean() - effect) < 4 * stderr
    assert sum(job.task.num_docs for job in plan.jobs) == 77_775
