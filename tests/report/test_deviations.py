"""A plan that was written beforehand, held to what was run."""

from dataclasses import replace

import pytest

from ft_eval.errors import ReportError
from ft_eval.records import Job, Registration
from ft_eval.report import Terms, build_report
from ft_eval.report.published import published_figures
from ft_eval.report.sections import PlanCard
from tests.report import fakes

TASK = fakes.task()
BASE, LATENT = fakes.job(fakes.baseline(), TASK), fakes.job(fakes.latent(), TASK)
SCORES = [1.0, 0.0] * 10
PLAN = Registration(
    jobs=(BASE, LATENT), primary=("gsm8k",), margin_points=1.0, command="x", created_at="2026-10-01T00:00:00Z"
)


def _card(*jobs: Job, terms: Terms = Terms(), plan: Registration = PLAN) -> PlanCard:  # noqa: B008 — frozen
    store = fakes.store(dict.fromkeys(jobs, SCORES))
    store.plan = replace(store.plan, registered=plan, primary=plan.primary, margin_points=plan.margin_points)
    card = build_report([store], terms=terms).plan
    assert card is not None
    return card


def test_a_run_as_planned_deviates_in_nothing() -> None:
    card = _card(BASE, LATENT)
    assert card.deviations == ()
    assert (card.digest, card.num_jobs, card.primary, card.margin_points) == (PLAN.digest, 2, ("gsm8k",), 1.0)


def test_a_changed_limit_is_named_with_both_values() -> None:
    limited = replace(LATENT, task=replace(TASK, limit=10))
    (deviation,) = _card(BASE, limited).deviations
    assert (deviation.what, deviation.planned, deviation.found) == ("latent (prior) on gsm8k: limit", "none", "10")


def test_jobs_that_are_left_out_or_added_are_named() -> None:
    extra = fakes.job(fakes.baseline(), fakes.task("mmlu"))
    found = {d.what: (d.planned, d.found) for d in _card(BASE, extra).deviations}
    assert found == {"latent (prior) on gsm8k": ("to be run", "not run"), "base on mmlu": ("not planned", "run")}


def test_other_primary_tasks_or_another_margin_are_deviations() -> None:
    extra = fakes.job(fakes.baseline(), fakes.task("mmlu"))
    plan = replace(PLAN, jobs=(BASE, LATENT, extra))
    card = _card(BASE, LATENT, extra, terms=Terms(primary=("mmlu",), margin_points=2.0), plan=plan)
    assert [d.what for d in card.deviations] == ["primary tasks", "margin"]


def test_a_plan_that_is_younger_than_its_run_says_so() -> None:
    (deviation,) = _card(BASE, LATENT, plan=replace(PLAN, created_at="2027-01-01T00:00:00Z")).deviations
    assert deviation.what == "time"


def test_the_digest_hangs_on_jobs_terms_and_time() -> None:
    changed = [
        {"jobs": (BASE,)},
        {"primary": ()},
        {"margin_points": None},
        {"command": "y"},
        {"created_at": "2026-10-02T00:00:00Z"},
    ]
    assert len({PLAN.digest, *(replace(PLAN, **one).digest for one in changed)}) == 6  # type: ignore[arg-type] # mixed


def test_published_figures_are_those_of_the_rows_at_hand() -> None:
    figures = published_figures("paper", ["ft_mmlu_letter", "gsm8k", "boolq"])
    assert [(f.task, f.baseline, f.latent) for f in figures] == [
        ("gsm8k", 0.321, 0.331),
        ("mmlu", 0.592, 0.623),
        ("gsm8k", None, None),
    ]
    with pytest.raises(ReportError, match="expected paper"):
        published_figures("blog", [])
