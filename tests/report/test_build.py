"""The report's numbers are the statistics of the pairs."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ft_eval.records import Job, SampleResult
from ft_eval.report import Verdict, build_report
from ft_eval.report.tables import Unit
from ft_eval.stats import compare_draws, compare_paired, mean_estimate
from tests.report.example import example_report
from tests.report.fakes import sample, store
from tests.report.found import BASE, LATENT, THREE_GAINED, comparison_of, only_cell, only_row, two_arms


def test_a_gain_says_how_few_items_it_rests_on():
    report = build_report([two_arms(*THREE_GAINED)])
    expected = (
        "+10.0 points rest on 2 items of 20: 3 gained, 1 lost; p = 0.38 (mid-p McNemar; exact 0.63). "
        "This can be chance; a difference of 31.3 points (78.3\u202f% of the baseline) would be found 4 times in 5."
    )
    assert comparison_of(report).sentence == expected
    assert report.summary.lines[0] == expected
    assert report.summary.lines[1].startswith("Were +10.0 points the true difference, it would be found 4 times in 5")
    assert report.summary.lines[2] == "p is two-sided, of one test."
    assert report.summary.headline.startswith("latent cannot be told apart from base on gsm8k: +10.0 points [")


def test_a_loss_is_spoken_of_in_the_words_of_a_gain():
    gain, loss = (
        build_report([two_arms([0.0] * 30, [1.0] * 12 + [0.0] * 18)]),
        build_report([two_arms([1.0] * 12 + [0.0] * 18, [0.0] * 30)]),
    )
    assert comparison_of(gain).verdict is Verdict.BETTER
    assert comparison_of(loss).verdict is Verdict.WORSE
    assert "latent is better than base on gsm8k: +40.0 points" in gain.summary.headline
    assert "latent is worse than base on gsm8k: −40.0 points" in loss.summary.headline


def test_numbers_are_those_of_the_pairs():
    base, other = THREE_GAINED
    comparison, expected = comparison_of(build_report([two_arms(base, other)])), compare_paired(base, other)
    assert comparison.paired == expected
    assert comparison.baseline == mean_estimate(base)
    assert comparison.latent == mean_estimate(other)
    assert comparison.gain.percent == pytest.approx(25.0)


def test_a_baseline_that_may_be_zero_leaves_the_gain_out_with_the_reason():
    gain = comparison_of(build_report([two_arms([0.0] * 5, [1.0] + [0.0] * 4)])).gain
    assert math.isnan(gain.percent)
    assert gain.reason == "the baseline's 95 % interval reaches 0"
    assert gain.difference == pytest.approx(0.2)


def test_continuous_scores_get_the_paired_t():
    rng = np.random.default_rng(3)
    base, other = rng.random(20), rng.random(20)
    comparison = comparison_of(build_report([two_arms(base.tolist(), other.tolist())]))
    assert comparison.paired == compare_draws(base, other)
    assert "paired t" in comparison.sentence
    assert "sign flips" in comparison.sentence


def test_draws_are_averaged_per_document_before_any_test():
    draws = [sample(LATENT, i, float(k < i), draw=k) for i in range(5) for k in range(4)]
    base = [sample(BASE, i, float(i > 2)) for i in range(5)]
    comparison = comparison_of(build_report([store({BASE: base, LATENT: draws})]))
    assert comparison.paired.difference.n == 5
    scores = [[float(k < i) for k in range(4)] for i in range(5)]
    assert comparison.paired == compare_draws([0, 0, 0, 1, 1], scores)
    assert (comparison.paired.num_baseline_draws, comparison.paired.num_latent_draws) == (1, 4)


def test_lower_is_better_turns_the_verdict_and_not_the_difference():
    rng = np.random.default_rng(5)
    base = (3.0 + rng.random(30)).tolist()
    other = [score - 0.5 - 0.01 * i for i, score in enumerate(base)]
    report = build_report([two_arms(base, other, metric="nll", higher_is_better=False)])
    assert comparison_of(report).verdict is Verdict.BETTER
    assert comparison_of(report).paired.difference.mean < 0
    assert only_row(report).primary.unit is Unit.RAW


def test_a_metric_that_is_no_mean_over_documents_is_shown_without_a_test():
    fake = two_arms([3.0, 4.0], [3.0, 3.0], metric="word_perplexity", higher_is_better=False)
    for job_id, finished in fake.results.items():
        fake.results[job_id] = replace(finished, metrics={"word_perplexity": 17.5}, stderrs={"word_perplexity": 0.2})
    report = build_report([fake])
    cell = only_cell(report)
    assert cell.score is not None
    assert (cell.score.mean, cell.score.stderr) == (17.5, 0.2)
    assert cell.comparison is None
    assert "no mean over documents" in cell.why_empty
    assert report.summary.headline == f"The scores of both stand below, but {cell.why_empty}."


def test_other_metrics_follow_the_primary_one():
    def both(owner: Job) -> list[SampleResult]:
        return [replace(sample(owner, i, 1.0), metrics={"exact_match": 1.0, "f1": 0.5, "acc": 0.0}) for i in range(3)]

    row = only_row(build_report([store({BASE: both(BASE), LATENT: both(LATENT)})]))
    assert [metric.metric for metric in row.metrics] == ["exact_match", "acc", "f1"]
    assert [metric.is_primary for metric in row.metrics] == [True, False, False]


def test_many_comparisons_are_one_sentence_with_the_most_misleading_one_and_the_correction_below():
    report = example_report()
    text = " ".join([report.summary.headline, *report.summary.lines])
    assert report.summary.headline.startswith("Best of 3 candidates: κ-1/4 is better than base-1.5B on the mean of 5")
    assert "Task by task: 1 better, 0 worse, 4 unresolved." in report.summary.headline
    assert "The largest relative change that can be chance is +33.3" in text
    assert "corrected by Holm for 15 tests: 5 primary tasks (all tasks here, since none were declared) × 3" in text


def test_several_latents_have_one_cell_each_in_order():
    report = example_report()
    (panel,) = report.panels
    for row in panel.rows:
        for metric in row.metrics:
            assert [cell.label for cell in metric.cells] == [c.label for c in panel.latents]


def test_the_same_runs_give_the_same_report():
    first, second = (build_report([two_arms(*THREE_GAINED)]) for _ in range(2))
    assert repr(first) == repr(second)


def test_created_at_comes_from_the_run():
    assert build_report([two_arms([1.0], [1.0])]).created_at == "2026-11-01T00:00:00Z"


def test_scoring_details_are_said_once_where_all_agree():
    fake = two_arms([1.0], [1.0])
    for job_id in fake.results:
        fake.results[job_id] = replace(fake.results[job_id], scoring={"sandbox": "namespaces"})
    (card,) = build_report([fake]).tasks
    assert card.scoring == (("all", {"sandbox": "namespaces"}),)


def test_answers_that_hang_on_the_draws_are_counted():
    other = [sample(LATENT, i, 1.0, may_flip=i < 3) for i in range(10)]
    (note,) = only_row(build_report([store({BASE: [1.0] * 10, LATENT: other})])).notes
    assert note.startswith("latent: 3 answers of 10 could change with other draws of Z")
