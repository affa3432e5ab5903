"""Noise, plan, deviations and published figures stand on the page in words and numbers, and so does their absence."""

from dataclasses import replace

import numpy as np

from ft_eval.report import Report, build_report, render_html
from ft_eval.report.pages import Bar, BarChart, Cell, Page, Section, Table
from ft_eval.report.sections import Deviation, NoiseRow, PlanCard, VarianceRow
from ft_eval.report.tables import Unit
from ft_eval.stats import noise_floor
from ft_eval.stats.variance import split_nested
from tests.report.fakes import baseline, job, latent, store, task
from tests.report.page import Page as ReadPage

HOSTILE = "<script>alert(1)</script>\u202e"


def small() -> Report:
    spec = task(num_docs=40)
    return build_report(
        [store({job(baseline(), spec): [1.0, 0.0] * 20, job(latent(), spec): [1.0, 1.0, 0.0, 0.0] * 10})]
    )


def page_of(report: Report) -> ReadPage:
    return ReadPage(render_html(report))


def text_of(report: Report) -> str:
    return " ".join(page_of(report).text.split())


def test_sections_stand_in_their_order():
    ids = [attributes["id"] for tag, attributes in page_of(small()).tags if tag == "section" and "id" in attributes]
    assert ids == ["scores", "latent", "cost", "samples", "tasks", "noise", "provenance", "reproduce", "method"]


def test_what_was_not_done_is_said_with_how_to_do_it():
    text = text_of(small())
    for words in ("ft-eval run --aa", "ft-eval run --verify N", "No plan was written before the run"):
        assert words in text


def test_a_noise_floor_stands_in_a_table_in_the_forest_and_beside_the_baseline():
    floor = noise_floor(np.array([1.0, 0.0] * 20), np.array([1.0, 0.0] * 18 + [0.0, 1.0] * 2))
    report = small()
    row = NoiseRow(label="base", task="gsm8k", metric="exact_match", unit=Unit.POINTS, seeds=(0, 1), floor=floor)
    page = page_of(replace(report, noise=(row,)))
    (table,) = [table for table in page.tables if table.caption.startswith("Each baseline's second run")]
    assert floor.percentile_95 in table.rows[1].numbers
    assert table.rows[1].numbers[:2] == [40.0, 4.0]
    assert "--aa" not in page.text


def test_the_variance_is_split_by_source_and_the_shares_add_up():
    scores = np.random.default_rng(0).random((30, 8)) + np.linspace(0, 1, 30)[:, None]
    row = VarianceRow(
        label="latent", task="gsm8k", metric="m", unit=Unit.POINTS, num_items=30, split=split_nested(scores), note="Z"
    )
    page = page_of(replace(small(), variances=(row,)))
    (table,) = [table for table in page.tables if table.caption.startswith("Standard deviation per source")]
    shares = [row.numbers[-1] for row in table.rows[1:]]
    assert len(shares) == 2
    assert abs(sum(shares) - 1.0) < 1e-9


def test_deviations_from_a_plan_are_listed_and_their_absence_is_said():
    plan = PlanCard(
        digest="ab" * 32, created_at="2026-11-01T00:00:00Z", command="ft-eval plan " + HOSTILE, primary=("gsm8k",),
        margin_points=1.0, num_jobs=2, deviations=(Deviation(what=HOSTILE, planned="5", found="0"),),
    )  # fmt: skip
    page = page_of(replace(small(), plan=plan))
    assert "1 deviation from the plan" in " ".join(page.text.split())
    assert HOSTILE.replace("\u202e", "\\u202e") in page.text
    assert "All was done as the plan said" in text_of(replace(small(), plan=replace(plan, deviations=())))


def test_published_figures_stand_beside_ones_own_where_asked_for():
    spec = task(num_docs=4)
    fake = store({job(baseline(), spec): [1.0, 0.0] * 2, job(latent(), spec): [1.0] * 4})
    text = text_of(build_report([fake], reference="paper"))
    assert "Published figures" in text
    assert "32.1" in text
    assert "arXiv 2510.17558" in text
    assert "Published figures" not in text_of(build_report([fake]))


def test_the_command_and_the_terms_are_there_to_be_typed_again():
    text = text_of(small())
    assert "ft-eval run checkpoints.toml --tasks gsm8k" in text
    assert "ft-eval report RUN" in text


def test_a_probes_sections_stand_under_z_with_ids_of_their_own():
    bar = Bar(label="0" + HOSTILE, value=0.5, text="0.5")
    table = Table(caption="KL", heads=("Bit", "KL"), rows=((Cell(text="0"), Cell(text="0.5", value=0.5)),))
    section = Section(
        heading="Is Z used?", anchor="usage", charts=(BarChart(title="KL", bars=(bar,)),), tables=(table,)
    )
    probe = Page(title="What Z does", eyebrow="seed 1", headline="Z is used.", sections=(section,), notices=(HOSTILE,))
    page = page_of(replace(small(), probes=(probe, probe)))
    ids = [value for value in page.attributes("id") if value]
    assert {"probe-1-usage", "probe-2-usage"} <= set(ids)
    assert len(set(ids)) == len(ids)
    assert [table.rows[-1].numbers for table in page.tables if table.caption == "KL"] == [[0.5], [0.5]]
    assert HOSTILE.replace("\u202e", "\\u202e") in page.text
