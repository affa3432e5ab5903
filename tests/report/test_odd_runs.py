"""What is missing, cut, unscored or not finished is said, and nothing is made of it."""

import math
from dataclasses import replace

import pytest

from ft_eval.report import Verdict, build_report
from ft_eval.stats import mean_estimate
from tests.report.fakes import baseline, job, latent, result, sample, store, task
from tests.report.found import BASE, LATENT, comparison_of, only_cell, only_row, two_arms


def test_an_item_without_a_score_is_counted_and_never_wrong():
    other = [sample(LATENT, i, 1.0) for i in range(9)] + [sample(LATENT, 9, 0.0, error="sandbox: no memory")]
    report = build_report([store({BASE: [1.0] * 10, LATENT: other})])
    assert comparison_of(report).paired.difference.n == 9
    assert comparison_of(report).latent.mean == 1.0
    (note,) = only_row(report).notes
    assert note.startswith("latent: 1 sample of 10 could not be scored")
    assert "sandbox: no memory ×1" in note
    assert report.notes == ("1 document could not be scored; see the tasks' remarks",)


def test_a_latents_likelihood_of_whole_texts_is_called_no_loss():
    rolling = task("wikitext", output_type="loglikelihood_rolling")
    (note,) = only_row(build_report([store({job(arm, rolling): [1.0, 0.5] for arm in (baseline(), latent())})])).notes
    assert note.startswith("latent: an average over draws from the prior, which lies below the likelihood")
    assert "no loss of this model" in note


def test_cut_prompts_are_counted():
    other = [sample(LATENT, i, 1.0, num_truncated_tokens=7 * (i < 2)) for i in range(10)]
    report = build_report([store({BASE: [1.0] * 10, LATENT: other})])
    assert only_row(report).notes == ("latent: 2 prompts of 10 cut on the left to fit the context",)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_all_ties_and_one_item_are_a_sentence_and_no_verdict(right):
    for n in (1, 30):
        held = comparison_of(build_report([two_arms([right] * n, [right] * n)]))
        assert held.verdict is Verdict.UNRESOLVED
        assert f"No score changes on {n} item" in held.sentence


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_a_number_counts_as_none(value):
    broken = [value if i == 3 else 1.0 for i in range(10)]
    report = build_report([two_arms([1.0] * 10, broken)])
    assert comparison_of(report).paired.difference.n == 9
    assert any(
        "latent: 1 sample of 10 with a score that is no finite number" in note for note in only_row(report).notes
    )


def test_a_limit_is_stamped():
    report = build_report([two_arms([1.0] * 20, [1.0] * 20, limit=20)])
    assert report.stamps == ("partial: first 20 documents",)
    assert only_row(report).notes == ("partial: first 20 documents",)


def test_a_run_in_progress_says_what_is_missing():
    report = build_report([store({BASE: [1.0] * 4, LATENT: None})])
    assert report.missing == ("latent: gsm8k",)
    assert report.stamps == ("in progress: 1 of 2 jobs unfinished",)
    assert only_cell(report).why_empty == "not finished"
    assert report.summary.headline.startswith("So far, with 1 of 2 jobs unfinished: no task has been finished by both")


def test_an_unfinished_baseline_is_said_beside_the_latents_score():
    cell = only_cell(build_report([store({BASE: None, LATENT: [1.0, 0.0]})]))
    assert cell.score is not None
    assert (cell.score.mean, cell.why_empty) == (0.5, "baseline not finished")


def test_nothing_finished_at_all_is_still_a_report():
    report = build_report([store({BASE: None, LATENT: None})])
    assert len(report.missing) == 2
    assert report.costs == ()


def test_a_latent_without_its_baseline_is_shown_alone_with_a_sentence():
    report = build_report([store({job(latent(), task()): [1.0, 0.0, 1.0]})])
    assert report.panels[0].sentence.startswith("latent is shown alone: its baseline base is not in these runs")
    assert only_cell(report).score == mean_estimate([1.0, 0.0, 1.0])
    assert report.summary.headline.startswith("No latent checkpoint stands beside its baseline")


def test_a_baseline_without_latents_is_shown_alone_with_a_sentence():
    report = build_report([store({BASE: [1.0, 0.0, 1.0]})])
    assert report.panels[0].sentence.startswith("base is shown alone")
    assert only_row(report).primary.baseline == mean_estimate([1.0, 0.0, 1.0])


def test_an_aggregate_by_draws_is_recognised_as_a_mean():
    """A task whose score is the mean over samples, not over documents, is still a mean."""
    draws = [sample(LATENT, 0, 1.0), sample(LATENT, 0, 1.0, draw=1), sample(LATENT, 1, 0.0)]
    fake = store({BASE: [1.0, 0.0], LATENT: draws})
    fake.results[LATENT.id] = result(LATENT, draws)
    assert only_cell(build_report([fake])).comparison is not None


def test_a_task_that_counts_the_unscored_as_wrong_still_gives_a_mean():
    """Its own score is another one; ours leaves the unscored out, and says so."""
    other = [sample(LATENT, i, 1.0) for i in range(9)] + [sample(LATENT, 9, 0.0, error="sandbox: no memory")]
    fake = store({BASE: [1.0] * 10, LATENT: other})
    fake.results[LATENT.id] = replace(fake.results[LATENT.id], metrics={"exact_match": 0.9})
    assert comparison_of(build_report([fake])).latent.mean == 1.0


def test_a_score_that_is_no_number_does_not_hide_the_samples():
    other = [sample(LATENT, 0, 1.0), sample(LATENT, 1, math.nan, error="a metric is not a finite number")]
    fake = store({BASE: [1.0] * 2, LATENT: other})
    fake.results[LATENT.id] = replace(fake.results[LATENT.id], metrics={"exact_match": math.nan})
    assert comparison_of(build_report([fake])).paired.difference.n == 1
