"""The page says whether Z is used and what remains of a gain without it: in numbers, in words, and in shapes."""

import math
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from ft_eval.report import build_report, render_html
from ft_eval.report.tables import Report
from tests.report.arms import arm_jobs, arms_store, usage, with_usage
from tests.report.example import example_report
from tests.report.fakes import baseline, job, latent, store, task
from tests.report.page import Page
from tests.report.test_render import HOSTILE


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report([arms_store()], max_flips=2)


@pytest.fixture(scope="module")
def page(report) -> Page:
    return Page(render_html(report))


def text_of(report: Report) -> str:
    return " ".join(Page(render_html(report)).text.split())


def test_every_attribution_and_every_alarm_is_on_the_page_in_words(report, page):
    text = " ".join(page.text.split())
    said = [
        sentence for panel in report.panels for table in panel.arms for row in table.rows for sentence in row.sentences
    ]
    assert len(said) == 2 * 2 * 4
    assert [sentence for sentence in said if sentence not in text] == []
    assert [note for note in report.notes if note not in text] == []
    assert [row.sentence for row in report.usages if row.sentence not in text] == []


def test_a_task_of_a_group_has_no_attribution_of_its_own(report):
    names = [row.row.name for table in report.panels[0].arms for row in table.rows]
    assert names == ["gsm8k", "mbpp_plus", "mmlu", "perplexity_of_stories"] * 2


def test_the_arms_table_holds_each_arms_score_and_both_its_differences(report, page):
    for table in report.panels[0].arms:
        (shown,) = [t for t in page.tables if t.caption.startswith(f"{table.name} by the source of Z")]
        rows = [row for row in shown.rows if row.heading]
        for arms, lines in zip(table.rows, [rows[i : i + 3] for i in range(0, len(rows), 3)], strict=True):
            scores = [arms.row.primary.baseline, *(cell.score for cell in arms.cells)]
            expected = [number for e in scores if e for number in (e.mean, e.stderr)]
            assert lines[0].numbers == expected
            assert lines[1].numbers == [c.comparison.paired.difference.mean for c in arms.cells if c.comparison]
            assert lines[2].numbers == [c.to_zero.paired.difference.mean for c in arms.cells if c.to_zero]
            assert [line.heading for line in lines[1:]] == ["to base-1.5B", "to zero"]


def test_the_table_of_z_holds_the_measured_numbers(report, page):
    (shown,) = [table for table in page.tables if table.caption.startswith("Whether Z is used")]
    rows = {row.heading: row.numbers for row in shown.rows if row.heading}
    assert rows == {
        row.name: [row.usage.kl_bits, row.usage.information_bits, row.usage.num_prompts, row.usage.num_tokens]
        for row in report.usages
        if row.usage
    }


def test_an_alarm_has_a_word_and_a_shape_besides_its_colour(page):
    assert "⚠ collapsed" in page.text


def test_a_collapsed_checkpoint_is_marked_where_its_scores_stand_once():
    dead = arm_jobs(latent(), task())
    scores = {job(baseline(), task()): [1.0, 0.0], **{owner: [1.0, 1.0] for owner in dead.values()}}
    made = with_usage(store(scores), dict.fromkeys(dead.values(), usage(0.5, 0.001)))
    html = render_html(build_report([made]))
    assert html.count('<p class="notice">latent: collapsed: Z is not used') == 1


def test_a_checkpoint_alone_says_whether_its_z_is_used():
    owner = job(latent(), task())
    made = with_usage(store({owner: [1.0, 0.0]}), {owner: usage()})
    assert "Z: the encoder tells the prompts apart: KL 0.4800 bit" in text_of(build_report([made]))


def test_what_was_not_measured_is_said_on_the_page():
    assert "not measured" in text_of(example_report())


def test_a_kl_that_is_no_number_has_a_page():
    owner = job(latent(), task())
    made = with_usage(store({owner: [1.0, 0.0]}), {owner: usage(math.nan, 0.0)})
    assert "KL – bit, information 0.0000 bit" in text_of(build_report([made]))


def test_a_page_of_baselines_does_not_speak_of_z():
    html = render_html(build_report([store({job(baseline(), task()): [1.0, 0.0]})]))
    assert 'id="latent"' not in html
    assert 'href="#latent"' not in html


def test_an_unfinished_arm_has_a_page():
    arms = arm_jobs(latent(), task())
    scores = {job(baseline(), task()): [1.0, 0.0], **dict.fromkeys(arms.values())}
    assert "not finished" in text_of(build_report([store(scores)]))


def test_the_page_is_well_formed_with_arms(page):
    assert not page.open_elements
    assert max(Counter(page.attributes("id")).values()) == 1
    assert all(table.caption.strip() for table in page.tables)
    assert all(attributes.get("scope") in {"row", "col"} for tag, attributes in page.tags if tag == "th")
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels


def test_a_hostile_name_never_becomes_markup_in_what_is_said_of_z():
    def tags(name: str) -> Counter[str]:
        made = arms_store(name)
        jobs = tuple(
            replace(owner, task=replace(owner.task, name=f"{owner.task.name}{name}")) for owner in made.plan.jobs
        )
        moved = dict(zip([owner.id for owner in made.plan.jobs], jobs, strict=True))
        made.results = {moved[key].id: replace(result, job_id=moved[key].id) for key, result in made.results.items()}
        made.stored = {
            moved[key].id: [replace(sample, job_id=moved[key].id) for sample in samples]
            for key, samples in made.stored.items()
        }
        made.plan = replace(made.plan, jobs=jobs, groups=())
        found = Page(render_html(build_report([made], max_flips=2)))
        assert not found.open_elements
        return Counter(tag for tag, _ in found.tags if tag != "wbr")

    assert tags(HOSTILE) == tags("harmless")
