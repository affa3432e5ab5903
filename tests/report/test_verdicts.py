"""Planted effects are found and nothing else; the family holds what was declared, and no control arm."""

import math
import re

import numpy as np
import pytest

from ft_eval.errors import ReportError
from ft_eval.records import LatentPolicy, LatentSource, TaskGroup
from ft_eval.report import Report, ScoreRecord, Terms, Verdict, build_report, render_html, score_records
from ft_eval.report.frames import draw_matrix, read_samples
from ft_eval.stats import benjamini_hochberg, compare_draws, gain_interval, holm, pooled_effect
from tests.report.arms import arm_jobs, arms_store
from tests.report.fakes import FakeStore, baseline, batches, job, latent, sample, store, task

NUM_ITEMS = 400
PLANTED = {"up": 0.15, "down": -0.15, "same_0": 0.0, "same_1": 0.0, "same_2": 0.0}


def planted_store(seed: int, names: tuple[str, ...] = ("latent",), planted=PLANTED, groups=()) -> FakeStore:
    """One baseline at 50 %; each latent changes 4 % of the answers either way, and the planted share one way."""
    rng, scores = np.random.default_rng(seed), {}
    specs = [task(name, num_docs=NUM_ITEMS) for name in planted]
    base = {spec: rng.integers(0, 2, NUM_ITEMS) for spec in specs}
    scores = {job(baseline(), spec): base[spec].astype(float).tolist() for spec in specs}
    for name in names:
        for spec in specs:
            shift = planted[spec.name]
            up, down = (rng.random(NUM_ITEMS) < 0.04 + 2 * max(0.0, s) for s in (shift, -shift))
            other = np.where(base[spec] == 1, ~down, up)
            scores[job(latent(name), spec)] = other.astype(float).tolist()
    return store(dict(scores), groups)


def found(report: Report) -> dict[tuple[str, str], ScoreRecord]:
    return {(r.task, r.latent): r for r in score_records(report) if r.is_primary}


@pytest.mark.parametrize("seed", range(3))
def test_planted_effects_are_found_and_nothing_else(seed):
    records = found(build_report([planted_store(seed)]))
    assert {name: Verdict(records[name, "latent"].verdict) for name in PLANTED} == {
        "up": Verdict.BETTER,
        "down": Verdict.WORSE,
        **dict.fromkeys(("same_0", "same_1", "same_2"), Verdict.UNRESOLVED),
    }


def test_what_is_equal_is_called_equivalent_within_a_margin_and_what_differs_is_not():
    records = found(build_report([planted_store(1)], terms=Terms(margin_points=8)))
    words = {name: records[name, "latent"].verdict for name in PLANTED}
    assert words == {"up": "better", "down": "worse", **dict.fromkeys(("same_0", "same_1", "same_2"), "equivalent")}


def test_without_a_margin_nothing_is_equivalent():
    spec = task(num_docs=5_000)
    report = build_report([store({job(arm, spec): [0.0, 1.0] * 2_500 for arm in (baseline(), latent())})], max_flips=0)
    assert found(report)["gsm8k", "latent"].verdict == "unresolved"


def test_p_is_holms_over_primary_tasks_times_candidates():
    records = found(build_report([planted_store(2, ("l1", "l2"))]))
    keys = sorted(records)
    assert [records[key].p_corrected for key in keys] == pytest.approx(holm([records[key].p_value for key in keys]))
    assert {records[key].correction for key in keys} == {"Holm over 10 tests"}
    assert {records[key].level for key in keys} == {0.05 / 10}


def test_a_declared_family_is_smaller_and_the_rest_is_looked_through():
    records = found(build_report([planted_store(2)], terms=Terms(primary=("up", "same_0"))))
    assert {name for (name, _), record in records.items() if record.is_in_family} == {"up", "same_0"}
    inside = [records[name, "latent"] for name in ("up", "same_0")]
    assert [r.p_corrected for r in inside] == pytest.approx(holm([r.p_value for r in inside]))
    outside = [records[name, "latent"] for name in ("down", "same_1", "same_2")]
    assert [r.p_corrected for r in outside] == pytest.approx(benjamini_hochberg([r.p_value for r in outside]))


def test_a_declared_task_that_was_not_run_still_counts():
    report = build_report([planted_store(2)], terms=Terms(primary=("up", "elsewhere")))
    assert found(report)["up", "latent"].correction == "Holm over 2 tests"
    assert "Declared but in no run, and counted: elsewhere." in report.summary.lines[-1]


def test_an_unfinished_task_still_counts():
    made = planted_store(2)
    del made.results[made.plan.jobs[-1].id]
    report = build_report([made])
    assert found(report)["up", "latent"].correction == "Holm over 5 tests"
    assert "on the mean of 4 of 5 primary tasks" in report.summary.headline


def test_a_family_that_is_nowhere_is_refused_with_the_nearest_name():
    with pytest.raises(ReportError, match="did you mean same_0"):
        build_report([planted_store(2)], terms=Terms(primary=("same0",)))


@pytest.mark.parametrize("margin", [0.0, -1.0, 100.0, math.nan])
def test_a_margin_must_be_points_above_zero(margin):
    with pytest.raises(ReportError, match="margin"):
        build_report([planted_store(2)], terms=Terms(margin_points=margin))


def test_tasks_of_a_group_are_corrected_among_themselves_and_the_group_is_in_the_family():
    group = TaskGroup(name="all", tasks=tuple(PLANTED), metric="exact_match")
    records = found(build_report([planted_store(3, groups=(group,))]))
    assert records["all", "latent"].correction == ""
    own = [records[name, "latent"] for name in PLANTED]
    assert [r.p_corrected for r in own] == pytest.approx(benjamini_hochberg([r.p_value for r in own]))
    assert {r.correction for r in own} == {"Benjamini–Hochberg over 5 tasks of all"}
    assert [key for key, record in records.items() if record.is_in_family] == [("all", "latent")]


def test_control_arms_are_no_candidates_and_in_no_headline():
    report = build_report([arms_store()])
    (panel,) = report.panels
    assert {label.rsplit(" ", maxsplit=1)[1] for label in panel.family.candidates} == {"prior", "posterior"}
    assert {record.latent for record in score_records(report) if record.is_in_family} == set(panel.family.candidates)
    text = " ".join([report.summary.headline, *report.summary.lines])
    assert not [
        arm for arm in ("zero on", "shuffled on", "fixed on", "zero is", "shuffled is", "fixed is") if arm in text
    ]
    assert "6 control arms" in text


def test_a_control_arm_more_changes_no_candidates_verdict():
    spec, scores = task(num_docs=100), {"base": [0.0] * 100, "other": [1.0] * 6 + [0.0] * 94}
    few = arm_jobs(latent(), spec, (LatentSource.PRIOR, LatentSource.ZERO))
    many = arm_jobs(latent(), spec)
    del many[LatentSource.POSTERIOR]
    reports = [
        build_report([store({job(baseline(), spec): scores["base"], **dict.fromkeys(arms.values(), scores["other"])})])
        for arms in (few, many)
    ]
    prior = [found(report)["gsm8k", "latent prior"] for report in reports]
    assert prior[0].p_corrected == prior[1].p_corrected == prior[0].p_value
    assert {record.verdict for record in prior} == {"better"}


def test_control_arms_alone_make_no_verdict():
    jobs = arm_jobs(latent(), task(), (LatentSource.ZERO,))
    report = build_report([store({job(baseline(), task()): [0.0] * 20, jobs[LatentSource.ZERO]: [1.0] * 20})])
    assert report.summary.headline.startswith("Only control arms")


def test_the_pooled_effect_is_that_of_the_tasks_differences_with_holm_over_candidates():
    report = build_report([planted_store(4, ("l1", "l2"))])
    (panel,) = report.panels
    comparisons = {
        label: [cell.comparison for row in panel.rows for cell in row.primary.cells if cell.label == label]
        for label in ("l1", "l2")
    }
    expected = {
        label: pooled_effect([c.paired.difference for c in own if c is not None]) for label, own in comparisons.items()
    }
    assert {one.label: one.effect for one in panel.pooled} == expected
    p_values = [one.decision.p_value for one in panel.pooled if one.decision]
    assert p_values == pytest.approx(holm([one.effect.p_value for one in panel.pooled]))


def test_lower_is_better_counts_upwards_in_the_pooled_effect():
    rng = np.random.default_rng(0)
    base = rng.random(60)
    specs = [task(name, num_docs=60, higher_is_better=False) for name in ("a", "b")]
    scores = {job(baseline(), spec): base.tolist() for spec in specs}
    scores |= {job(latent(), spec): (base * 0.8).tolist() for spec in specs}
    report = build_report([store(scores)])
    (pooled,) = report.panels[0].pooled
    assert pooled.effect.effect.mean > 0
    assert report.summary.headline.startswith("latent is better than base on the mean of 2 primary tasks: +")


def test_the_gain_is_fiellers_and_the_difference_stands_beside_it():
    made = planted_store(5)
    base, other = ([s.metrics["exact_match"] for s in made.stored[made.plan.jobs[place].id]] for place in (0, 5))
    record, expected = found(build_report([made]))["up", "latent"], gain_interval(base, other)
    assert (record.relative_gain_percent, record.relative_gain_low_percent) == (expected.percent, expected.low)
    assert record.relative_gain_high_percent == expected.high
    assert record.difference == pytest.approx(np.mean(other) - np.mean(base))


def test_a_gain_over_the_score_of_guessing_is_left_out():
    spec = task("quiz", metric="acc", output_type="multiple_choice", num_docs=80)
    scores = {}
    for arm, right in ((baseline(), 4), (latent(), 2)):
        owner = job(arm, spec)
        scores[owner] = [sample(owner, i, float(i % right == 0), logprobs_nats=(-1.0,) * 4) for i in range(80)]
    record = found(build_report([store(scores)]))["quiz", "latent"]
    assert record.relative_gain_reason == "the baseline's 95 % interval reaches chance level, 25 %"
    assert record.difference == pytest.approx(0.25)


def draws_store(*, ragged: bool) -> tuple[FakeStore, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    base, other = rng.integers(0, 2, 40).astype(float), rng.integers(0, 2, (40, 4)).astype(float)
    owner = job(latent(), task(num_docs=40), latents=LatentPolicy(num_draws=4))
    samples = [sample(owner, i, other[i, k], draw=k) for k in range(4) for i in reversed(range(40))]
    samples = samples[1:] if ragged else samples
    return store({job(baseline(), task(num_docs=40)): base.tolist(), owner: samples}), base, other


def test_draws_are_tested_item_by_item():
    made, base, other = draws_store(ragged=False)
    comparison = build_report([made]).panels[0].rows[0].primary.cells[0].comparison
    assert comparison is not None
    assert comparison.paired == compare_draws(base, other)
    assert comparison.paired.num_latent_draws == 4
    assert "40 items × 4 draws" in comparison.sentence
    assert "K" in comparison.advice


def test_items_of_unequal_draws_are_still_one_score_each():
    made, _, _ = draws_store(ragged=True)
    record = found(build_report([made]))["gsm8k", "latent"]
    assert (record.num_pairs, record.num_latent_draws) == (40, 1)


def test_draw_matrices_follow_the_documents_that_are_asked_for():
    made, _, other = draws_store(ragged=False)
    samples = read_samples(batches(made.stored[made.plan.jobs[1].id]))
    matrix = draw_matrix(samples, "exact_match", np.array([3, 1, 39]))
    assert matrix is not None
    assert matrix.tolist() == other[[3, 1, 39]].tolist()


@pytest.mark.parametrize("all_say", [True, False])
def test_clusters_are_the_units_where_all_samples_say_theirs(all_say):
    rng, spec = np.random.default_rng(11), task(num_docs=60, cluster_field="passage")
    passages, scores = np.arange(60) // 6, {}
    drawn = {arm.name: rng.integers(0, 2, 60).astype(float) for arm in (baseline(), latent())}
    for arm in (baseline(), latent()):
        owner = job(arm, spec)
        scores[owner] = [
            sample(owner, i, drawn[arm.name][i], details={"passage": str(passages[i])} if all_say or i else {})
            for i in range(60)
        ]
    report = build_report([store(scores)])
    comparison = report.panels[0].rows[0].primary.cells[0].comparison
    assert comparison is not None
    expected = compare_draws(drawn["base"], drawn["latent"], clusters=passages if all_say else None)
    assert comparison.paired.difference.stderr == pytest.approx(expected.difference.stderr)
    assert comparison.paired.num_clusters == (10 if all_say else None)
    assert bool(report.panels[0].rows[0].notes) is not all_say


@pytest.mark.parametrize(
    ("base", "other"),
    [([1.0], [0.0]), ([0.5], [0.25]), ([1.0] * 9, [1.0] * 9), ([0.3] * 9, [0.3] * 9), ([0.3] * 9, [0.4] * 9)],
    ids=["one item", "one real item", "all ties", "all real ties", "all by the same"],
)
def test_too_little_to_tell_has_a_page_and_no_verdict(base, other):
    report = build_report(
        [store({job(baseline(), task()): base, job(latent(), task()): other})], terms=Terms(margin_points=1)
    )
    assert found(report)["gsm8k", "latent"].verdict == "unresolved"
    assert "cannot be told apart" in report.summary.headline
    assert "nan" not in report.summary.headline
    assert render_html(report) == render_html(report)


def test_scores_that_are_no_number_are_left_out_of_every_statistic():
    scores = [[float(i % 2) for i in range(20)], [1.0] * 10 + [math.nan] * 10]
    record = found(build_report([store({job(baseline(), task()): scores[0], job(latent(), task()): scores[1]})]))
    assert record["gsm8k", "latent"].num_pairs == 10
    nothing = build_report([store({job(baseline(), task()): scores[0], job(latent(), task()): [math.nan] * 20})])
    assert found(nothing)["gsm8k", "latent"].why_empty == "no document has this metric"
    assert not re.search(r"\bnan\b", render_html(nothing))


@pytest.mark.parametrize(("repeats", "is_told"), [(1, False), (200, True)])
def test_no_difference_that_scores_cannot_have_is_called_detectable(repeats, is_told):
    spec = task(num_docs=2 * repeats)
    scores = {job(baseline(), spec): [0.0, 0.5] * repeats, job(latent(), spec): [0.6, 0.4] * repeats}
    record = found(build_report([store(scores)]))["gsm8k", "latent"]
    assert math.isnan(record.smallest_detectable) is not is_told


def test_no_interval_goes_beyond_what_scores_can_differ_by():
    spec = task(num_docs=2)
    report = build_report([store({job(baseline(), spec): [0.0, 0.5], job(latent(), spec): [0.9, 0.4]})])
    record = found(report)["gsm8k", "latent"]
    assert (record.difference_low, record.difference_high) == (-1.0, 1.0)


def test_nothing_loses_more_than_all_it_had():
    spec, latents = task(num_docs=4), LatentPolicy(num_draws=2)
    owner = job(latent(), spec, latents=latents)
    draws = [sample(owner, place, 1.0 if place else 0.0, draw=draw) for place in range(4) for draw in range(2)]
    report = build_report([store({job(baseline(), spec): [1.0] * 4, owner: draws})])
    record = found(report)["gsm8k", "latent"]
    assert record.relative_gain_percent == -25.0
    assert record.relative_gain_low_percent == -100.0
    assert record.relative_gain_high_percent > 0.0
