"""What the sections say is in the exports: noise, the mean's floor, curves, plan, published figures, FLOPs."""

import csv
import io
import json
import re
from dataclasses import replace
from functools import cache

import pandas as pd

from ft_eval.records import Job
from ft_eval.report import Report, build_report
from ft_eval.report.exports import to_json, to_markdown
from ft_eval.report.section_exports import sections_csv, sections_latex, sections_parquet
from ft_eval.report.section_records import SectionRecord, section_records, sections_frame
from ft_eval.report.sections import Deviation, PlanCard
from tests.report.fakes import baseline, job, latent, store, task
from tests.report.test_exports import NASTY


@cache
def whole() -> Report:
    """A report with every section: a rerun, three checkpoints of a training, published figures and a plan."""
    scores: dict[Job, list[float]] = {}
    for spec in (task("gsm8k", num_docs=40), task("mbpp", num_docs=40)):
        for place in range(3):
            moment = {"training_tokens": 10**9 * (8 + place), "flops_per_token": 3 * 10**9}
            base = job(baseline(f"base-{place}", training_run="base", **moment), spec)
            other = job(latent(f"free-{place}", training_run="free", baseline=f"base-{place}", **moment), spec)
            scores |= {base: [1.0, 0.0] * 20, other: [1.0] * (22 + place) + [0.0] * (18 - place)}
            scores[replace(base, seed=1, is_rerun=True)] = [0.0, 1.0] + [1.0, 0.0] * 19
    report = build_report([store(scores)], reference="paper")
    deviation = Deviation(what=f"{NASTY} on gsm8k: limit", planned="none", found="40")
    card = PlanCard(
        digest="ab" * 32, created_at="2026-10-01T00:00:00Z", command="ft-eval run", primary=("gsm8k",),
        margin_points=None, num_jobs=18, deviations=(deviation,),
    )  # fmt: skip
    return replace(report, plan=card)


def records(section: str) -> list[SectionRecord]:
    return [record for record in section_records(whole()) if record.section == section]


def test_every_section_has_its_records():
    found = {record.section for record in section_records(whole())}
    wanted = ("mean over tasks", "training", "last third", "published", "cost", "noise", "variance", "plan")
    assert found == set(wanted)


def test_the_records_are_the_reports_numbers():
    report = whole()
    floors = [record.value for record in records("noise") if record.quantity == "reruns stay within"]
    assert floors == [row.floor.percentile_95 for row in report.noise]
    means = [record.value for record in records("mean over tasks") if record.quantity.startswith("difference")]
    assert means == [one.effect.effect.mean for panel in report.panels for one in panel.pooled]
    points = [(p.position, p.score.mean) for chart in report.curves for curve in chart.curves for p in curve.points]
    assert [(record.position, record.value) for record in records("training")] == points
    flops = {record.value for record in records("cost") if record.quantity == "FLOPs per generated token"}
    assert flops == {3e9}
    assert any(record.text == "planned none, found 40" for record in records("plan"))


def test_csv_parquet_and_json_hold_every_record():
    frame, number = sections_frame(whole()), len(section_records(whole()))
    read = pd.read_csv(io.StringIO(sections_csv(whole())))
    stored = pd.read_parquet(io.BytesIO(sections_parquet(whole())))
    content = json.loads(to_json(whole()))["sections"]
    assert [len(one) for one in (frame, read, stored, content)] == [number] * 4
    assert list(read) == list(stored) == list(content[0]) == list(frame)
    pd.testing.assert_series_equal(read["value"], frame["value"], rtol=0, atol=0)
    pd.testing.assert_series_equal(stored["value"], frame["value"], rtol=0, atol=0)


def test_tables_keep_their_columns_whatever_a_name_holds():
    (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", sections_latex(whole()))
    body = [line for line in sections_latex(whole()).splitlines() if line.endswith(r"\\")]
    assert {len(re.split(r"(?<!\\)&", line)) for line in body} == {len(columns)}
    markdown = to_markdown(whole())
    tables = [line for line in markdown.split("## Mean over tasks")[1].splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {11}
    for section in ("Noise", "Training", "Last third", "Published", "Cost", "Variance", "Plan"):
        assert f"\n## {section}\n" in markdown


def test_a_name_is_no_formula_in_a_spreadsheet():
    for row in csv.reader(io.StringIO(sections_csv(whole()))):
        assert not any(cell.lstrip().startswith(("=", "+", "@")) for cell in row)


def test_a_report_without_sections_has_empty_tables():
    bare = replace(
        whole(), panels=(), noise=(), variances=(), curves=(), last_thirds=(), plan=None, published=(), costs=()
    )
    assert section_records(bare) == ()
    assert len(sections_csv(bare).splitlines()) == 1
    assert pd.read_parquet(io.BytesIO(sections_parquet(bare))).empty
