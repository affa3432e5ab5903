"""What does not pair is refused by name, or, when asked for, left out or compared as two samples."""

from dataclasses import replace

import numpy as np
import pytest

from ft_eval.errors import ReportError
from ft_eval.records import TaskGroup
from ft_eval.report import Terms, Verdict, build_report, render_html, score_records, summary_rows
from ft_eval.stats import Independent, compare_unpaired
from tests.report.fakes import baseline, digest, job, latent, sample, store, task
from tests.report.found import BASE, LATENT, comparison_of, only_row


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


def other_documents(scores, owner=LATENT):
    return [replace(sample(owner, i, score), doc_hash=digest(f"other {i}")) for i, score in enumerate(scores)]


BASE_SCORES, LATENT_SCORES = [1.0] * 30 + [0.0] * 30, [1.0] * 45 + [0.0] * 5


def test_where_no_item_pairs_both_are_two_samples_and_all_say_so():
    run = store({BASE: BASE_SCORES, LATENT: other_documents(LATENT_SCORES)})
    with pytest.raises(ReportError, match="document 0 has another document"):
        build_report([run])
    report = build_report([run], terms=Terms(unpaired=True))
    held = comparison_of(report)
    assert held.paired == compare_unpaired(*(Independent(scores=np.array(s)) for s in (BASE_SCORES, LATENT_SCORES)))
    assert (held.verdict, held.baseline.n, held.latent.n) == (Verdict.BETTER, 60, 50)
    assert "between two samples, unpaired, of 110 items" in held.sentence
    assert only_row(report).notes[0].startswith("unpaired: latent and base are compared as two samples")
    (row,), (record,) = summary_rows(report), score_records(report)
    assert (row.num_items, row.split) == ("110 unpaired", "–")
    assert (record.is_unpaired, record.num_pairs, record.num_items) == (True, 0, 110)
    assert "unpaired" in report.summary.headline
    html = render_html(report)
    assert '<span class="partial">unpaired</span>' in html
    assert "two proportions, unpaired" in html


def test_real_scores_and_clusters_are_welchs_test():
    rng, spec = np.random.default_rng(0), task(cluster_field="passage")
    owners = [job(arm, spec) for arm in (baseline(), latent())]
    scores = {}
    for owner, shift in zip(owners, (0.0, 0.2), strict=True):
        made = other_documents(rng.random(40) + shift, owner) if shift else None
        made = made or [sample(owner, i, value) for i, value in enumerate(rng.random(40))]
        scores[owner] = [replace(one, details={"passage": str(one.doc_id // 4)}) for one in made]
    held = comparison_of(build_report([store(scores)], terms=Terms(unpaired=True)))
    assert held.paired.test == "Welch t, unpaired"
    assert "CR2 stderr over 10 clusters" in held.baseline.method
    assert held.gain.method.endswith("unpaired")


def test_half_of_the_items_are_enough_for_pairs():
    mixed = [*(sample(LATENT, i, 1.0) for i in range(10)), *other_documents([0.0] * 20)[10:]]
    held = comparison_of(build_report([store({BASE: [1.0] * 20, LATENT: mixed})], terms=Terms(unpaired=True)))
    assert (held.paired.is_unpaired, held.paired.difference.n) == (False, 10)


@pytest.mark.parametrize("by_size", [True, False])
def test_a_group_with_one_task_that_does_not_pair_is_unpaired_as_a_whole(by_size):
    specs = [task("a", num_docs=60), task("b", num_docs=50)]
    scores = {job(baseline(), spec): [1.0, 0.0] * 30 for spec in specs}
    owners = [job(latent(), spec) for spec in specs]
    scores |= {owners[0]: [1.0, 1.0] * 30, owners[1]: other_documents([1.0] * 50, owners[1])}
    group = TaskGroup(name="g", tasks=("a", "b"), weight_by_size=by_size)
    rows = {row.name: row for row in build_report([store(scores, [group])], terms=Terms(unpaired=True)).panels[0].rows}
    held = {name: row.primary.cells[0].comparison for name, row in rows.items()}
    assert [one.paired.is_unpaired for one in (held["g"], held["a"], held["b"]) if one] == [True, False, True]
    assert held["g"] is not None
    assert held["g"].paired.difference.mean == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_fewshot": 0}, "gsm8k: latent ran it with 0 few-shot examples and base with 5 few-shot examples"),
        ({"version": "2"}, "gsm8k: latent ran it with version 2 and base with version 1"),
    ],
)
def test_one_task_in_two_forms_is_refused_by_name_unless_asked_for(change, said):
    owner = job(latent(), task(**change))
    run = store({BASE: [1.0] * 4, owner: other_documents([1.0] * 4, owner)})
    with pytest.raises(ReportError, match=said):
        build_report([run])
    rows = build_report([run], terms=Terms(unpaired=True)).panels[0].rows
    (held,) = (row.primary.cells[0] for row in rows)
    assert held.comparison is not None
    assert held.comparison.paired.is_unpaired
    assert " against " in rows[0].notes[0]
