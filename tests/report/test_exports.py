"""Every export says the report's numbers, and no name in it is run, typeset or rendered."""

import io
import json
import math
import re

import pandas as pd
import pytest

from ft_eval.report import Report, build_report, scores_frame
from ft_eval.report.exports import paper_rows, to_csv, to_json, to_latex, to_markdown, to_parquet
from ft_eval.report.tables import RowKind
from tests.report.example import example_report
from tests.report.fakes import baseline, job, latent, store, task

NASTY = "=cmd|' /C calc'!A0 & 50% $x_1$ #~^\\{}<b>[link](x) `a`\n| y \""


def named(name: str) -> Report:
    spec = task(name)
    return build_report([store({job(baseline(), spec): [1.0, 0.0], job(latent(), spec): [1.0, 1.0]})])


def test_the_frame_has_one_row_per_task_metric_and_latent():
    report, frame = example_report(), scores_frame(example_report())
    cells = sum(len(metric.cells) for panel in report.panels for row in panel.rows for metric in row.metrics)
    assert len(frame) == cells
    assert not frame.duplicated(["group", "task", "metric", "latent"]).any()


def test_csv_reads_back_as_the_frame():
    frame = scores_frame(example_report())
    texts = {name: str for name in frame if frame[name].dtype == object or frame[name].dtype.kind not in "iufb"}
    read = pd.read_csv(io.StringIO(to_csv(example_report())), dtype=texts, keep_default_na=False, na_values={})
    for name in frame:
        if frame[name].dtype.kind == "f":
            pd.testing.assert_series_equal(pd.to_numeric(read[name], errors="coerce"), frame[name], rtol=0, atol=0)
        elif frame[name].dtype.kind in "iu":
            assert read[name].tolist() == frame[name].tolist()


def test_parquet_reads_back_as_the_frame():
    frame, read = scores_frame(example_report()), pd.read_parquet(io.BytesIO(to_parquet(example_report())))
    assert list(read) == list(frame)
    for name in frame:
        if frame[name].dtype.kind in "iufb":
            pd.testing.assert_series_equal(read[name], frame[name], rtol=0, atol=0)
        else:
            assert read[name].astype(object).fillna("").tolist() == frame[name].astype(object).fillna("").tolist()


def test_json_holds_the_same_numbers_and_null_for_what_is_not_there():
    content = json.loads(to_json(example_report()), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    frame = scores_frame(example_report())
    assert content["format_version"] == 2
    assert len(content["scores"]) == len(frame)
    for record, (_, row) in zip(content["scores"], frame.iterrows(), strict=True):
        assert record["difference"] == (None if math.isnan(row["difference"]) else row["difference"])
        assert record["num_wins"] == row["num_wins"]
    assert any(record["difference"] is None for record in content["scores"])


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", NASTY])
def test_a_name_is_no_formula_in_a_spreadsheet(name):
    (row,) = pd.read_csv(io.StringIO(to_csv(named(name))), keep_default_na=False).to_dict("records")
    assert not str(row["task"]).lstrip().startswith(("=", "+", "-", "@"))
    assert "\n" not in str(row["task"])


def test_numbers_are_not_quoted_as_formulas():
    spec = task()
    report = build_report([store({job(baseline(), spec): [1.0, 1.0], job(latent(), spec): [1.0, 0.0]})])
    (row,) = pd.read_csv(io.StringIO(to_csv(report))).to_dict("records")
    assert row["difference"] == -0.5


def test_latex_escapes_every_special_character_of_a_name():
    (line,) = [line for line in to_latex(named(NASTY)).splitlines() if "cmd" in line]
    expected = (
        r"=cmd\textbar{}' /C calc'!A0 \& 50\% \$x\_1\$ \#\textasciitilde{}\textasciicircum{}"
        r"\textbackslash{}\{\}\textless{}b\textgreater{}{[}link](x) `a`\textbackslash{}n\textbar{} y \textquotedbl{} & "
    )
    assert line.startswith(expected)
    assert line.endswith(r"\\")


def test_latex_is_a_booktabs_table_of_as_many_columns_as_headings():
    lines = to_latex(example_report()).splitlines()
    columns = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", lines[0])
    assert columns
    body = [line for line in lines if line.endswith(r"\\")]
    assert {len(re.split(r"(?<!\\)&", line)) for line in body} == {len(columns[1])}
    assert [rule in lines for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}")] == [True] * 4
    assert all(line.isascii() for line in body if "κ" not in line)


def test_markdown_keeps_its_columns_and_shows_names_as_they_are():
    lines = to_markdown(named(NASTY)).split("\n## ")[0].splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 3
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {15}
    assert "<b>" not in table[2]
    assert "\\`a\\`" in table[2]


def test_a_paper_table_has_the_primary_metrics_and_leaves_subtasks_to_their_group():
    report = example_report()
    names = [row.name for panel in report.panels for row in panel.rows if row.kind is not RowKind.SUBTASK]
    rows = paper_rows(report)
    assert [row.task for row in rows] == [name for name in names for _ in range(3)]
    gsm8k = next(row for row in rows if row.task == "gsm8k")
    comparison = report.panels[0].rows[2].primary.cells[0].comparison
    assert comparison is not None
    assert gsm8k.difference == f"{100 * comparison.paired.difference.mean:+.1f}"
    assert gsm8k.split == "/".join(
        str(n) for n in (comparison.paired.num_wins, comparison.paired.num_losses, comparison.paired.num_ties)
    )


def test_exports_are_the_same_twice():
    report = example_report()
    for export in (to_csv, to_json, to_latex, to_markdown, to_parquet):
        assert export(report) == export(report)
    for written in (to_csv, to_json, to_latex, to_markdown):
        written(report).encode("utf-8")
