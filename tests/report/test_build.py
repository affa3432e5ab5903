"""The report's numbers are the statistics of the pairs, and what is missing, cut or unscored is said."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ft_eval.errors import ReportError
from ft_eval.records import Job, SampleResult, TaskGroup
from ft_eval.report import Report, RowKind, Terms, Verdict, build_report
from ft_eval.report.tables import Cell, TaskRow, Unit
from ft_eval.report.verdicts import Comparison
from ft_eval.stats import compare_draws, compare_macro, compare_paired, mean_estimate
from tests.report.example import example_report
from tests.report.fakes import FakeStore, baseline, digest, job, latent, result, sample, store, task

BASE, LATENT = job(baseline(), task()), job(latent(), task())
THREE_GAINED = ([0.0] * 12 + [1.0] * 8, [1.0] * 3 + [0.0] * 10 + [1.0] * 7)


def two_arms(base_scores, latent_scores, **task_changes) -> FakeStore:
    spec = task(**task_changes)
    return store({job(baseline(), spec): base_scores, job(latent(), spec): latent_scores})


def only_row(report: Report) -> TaskRow:
    (panel,) = report.panels
    (row,) = panel.rows
    return row


def only_cell(report: Report) -> Cell:
    (cell,) = only_row(report).primary.cells
    return cell


def comparison_of(report: Report) -> Comparison:
    comparison = only_cell(report).comparison
    assert comparison is not None
    return comparison


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


def test_items_that_do_not_pair_are_named():
    other = [
        replace(sample(LATENT, i, 1.0), prompt_hash=digest(f"{i}" if i == 4 else f"prompt gsm8k {i}")) for i in range(6)
    ]
    run = store({BASE: [1.0] * 6, LATENT: other})
    with pytest.raises(ReportError, match="gsm8k: document 4 has another prompt for latent than for base"):
        build_report([run])
    report = build_report([run], terms=Terms(unpaired=True))
    assert comparison_of(report).paired.difference.n == 5
    assert "another prompt" in only_row(report).notes[0]


def test_no_pair_at_all_is_said_in_place_of_a_comparison():
    other = [replace(sample(LATENT, i, 1.0), doc_hash=digest(f"other {i}")) for i in range(4)]
    run = store({BASE: [1.0] * 4, LATENT: other})
    with pytest.raises(ReportError, match="document 0 has another document"):
        build_report([run])
    cell = only_cell(build_report([run], terms=Terms(unpaired=True)))
    assert cell.comparison is None
    assert cell.why_empty == "no item pairs with one of the baseline"
    assert cell.score is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_fewshot": 0}, "gsm8k: latent ran it with 0 few-shot examples and base with 5 few-shot examples"),
        ({"version": "2"}, "gsm8k: latent ran it with version 2 and base with version 1"),
    ],
)
def test_one_task_in_two_forms_is_refused_by_name_unless_asked_for(change, said):
    run = store({BASE: [1.0] * 4, job(latent(), task(**change)): [1.0] * 4})
    with pytest.raises(ReportError, match=said):
        build_report([run])
    rows = build_report([run], terms=Terms(unpaired=True)).panels[0].rows
    assert len(rows) == 2
    assert all(cell.comparison is None for row in rows for cell in row.primary.cells)


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


def test_a_metric_that_is_no_mean_over_documents_is_shown_without_a_test():
    fake = two_arms([3.0, 4.0], [3.0, 3.0], metric="word_perplexity", higher_is_better=False)
    for job_id, finished in fake.results.items():
        fake.results[job_id] = replace(finished, metrics={"word_perplexity": 17.5}, stderrs={"word_perplexity": 0.2})
    cell = only_cell(build_report([fake]))
    assert cell.score is not None
    assert (cell.score.mean, cell.score.stderr) == (17.5, 0.2)
    assert cell.comparison is None
    assert "no mean over documents" in cell.why_empty


def test_other_metrics_follow_the_primary_one():
    def both(owner: Job) -> list[SampleResult]:
        return [replace(sample(owner, i, 1.0), metrics={"exact_match": 1.0, "f1": 0.5, "acc": 0.0}) for i in range(3)]

    row = only_row(build_report([store({BASE: both(BASE), LATENT: both(LATENT)})]))
    assert [metric.metric for metric in row.metrics] == ["exact_match", "acc", "f1"]
    assert [metric.is_primary for metric in row.metrics] == [True, False, False]


def group_store(*, weight_by_size: bool) -> tuple[FakeStore, list[tuple[np.ndarray, np.ndarray]]]:
    rng = np.random.default_rng(57)
    pairs = [(rng.integers(0, 2, n).astype(float), rng.integers(0, 2, n).astype(float)) for n in (4, 30, 9)]
    specs = [task(f"mmlu_{i}", metric="acc") for i in range(3)]
    scores = {job(baseline(), spec): base.tolist() for spec, (base, _) in zip(specs, pairs, strict=True)}
    scores |= {job(latent(), spec): other.tolist() for spec, (_, other) in zip(specs, pairs, strict=True)}
    group = TaskGroup(name="mmlu", tasks=tuple(s.name for s in specs), weight_by_size=weight_by_size, metric="acc")
    return store(dict(scores), [group]), pairs


def test_a_micro_group_is_all_items_in_one_heap():
    fake, pairs = group_store(weight_by_size=True)
    row = build_report([fake]).panels[0].rows[0]
    comparison = row.primary.cells[0].comparison
    assert comparison is not None
    assert comparison.paired == compare_paired(*(np.concatenate(side) for side in zip(*pairs, strict=True)))
    assert row.num_docs == 60


def test_a_macro_group_gives_every_task_one_vote():
    fake, pairs = group_store(weight_by_size=False)
    comparison = build_report([fake]).panels[0].rows[0].primary.cells[0].comparison
    assert comparison is not None
    assert comparison.paired == compare_macro(pairs)
    assert comparison.latent.mean == pytest.approx(np.mean([other.mean() for _, other in pairs]))


def test_tasks_stand_under_their_group_and_count_once_in_the_summary():
    fake, _ = group_store(weight_by_size=True)
    report = build_report([fake])
    assert [(row.name, row.kind) for row in report.panels[0].rows] == [
        ("mmlu", RowKind.GROUP),
        ("mmlu_0", RowKind.SUBTASK),
        ("mmlu_1", RowKind.SUBTASK),
        ("mmlu_2", RowKind.SUBTASK),
    ]
    assert "on mmlu:" in report.summary.headline


def test_a_task_of_two_groups_stands_under_both():
    fake, _ = group_store(weight_by_size=True)
    stem = TaskGroup(name="stem", tasks=("mmlu_1",), metric="acc")
    fake.plan = replace(fake.plan, groups=(*fake.plan.groups, stem))
    rows = build_report([fake]).panels[0].rows
    assert [(row.group, row.name) for row in rows if row.name == "mmlu_1"] == [("mmlu", "mmlu_1"), ("stem", "mmlu_1")]


def test_an_unfinished_group_is_partial():
    fake, _ = group_store(weight_by_size=True)
    del fake.results[list(fake.results)[-1]]
    row = build_report([fake]).panels[0].rows[0]
    assert "partial: latent has finished 2 of 3 tasks" in row.notes
    comparison = row.primary.cells[0].comparison
    assert comparison is not None
    assert comparison.paired.difference.n == 34


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


def test_answers_that_hang_on_the_draws_are_counted():
    other = [sample(LATENT, i, 1.0, may_flip=i < 3) for i in range(10)]
    (note,) = only_row(build_report([store({BASE: [1.0] * 10, LATENT: other})])).notes
    assert note.startswith("latent: 3 answers of 10 could change with other draws of Z")
