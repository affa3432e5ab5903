"""`ft-eval report` in the terminal: the page's verdicts, the declared family and the margin, and nothing written."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ft_eval.cli.report import report
from ft_eval.errors import ReportError
from ft_eval.report import build_report
from ft_eval.store import RunStore
from tests.report.fakes import baseline, job, latent, store, task

WRITTEN = {
    *(f"scores.{ending}" for ending in ("csv", "json", "md", "parquet", "tex")),
    *(f"sections.{ending}" for ending in ("csv", "parquet", "tex")),
    *("report.html", "samples.parquet", "every_eval_ever/base.json", "every_eval_ever/latent.json"),
}
SPECS = (task("gsm8k", num_docs=40), task("mbpp", num_docs=40))


@pytest.fixture
def folder(tmp_path):
    scores = {job(baseline(), spec): [1.0] * 20 + [0.0] * 20 for spec in SPECS}
    scores |= {job(latent(), spec): [1.0] * 36 + [0.0] * 4 for spec in SPECS}
    made = store(scores)
    with RunStore.create(tmp_path / "run", made.plan) as run:
        for owner in made.plan.jobs:
            run.finish(made.results[owner.id], made.stored[owner.id])
    return tmp_path / "run"


def call(*arguments: str) -> str:
    return CliRunner().invoke(report, [str(one) for one in arguments], catch_exceptions=False).output


def test_text_prints_the_table_and_the_sentence_and_writes_nothing(folder):
    before = sorted(path.name for path in folder.iterdir())
    output = call(folder, "--format", "text")
    headline = build_report([RunStore.open(folder)]).summary.headline
    assert headline in " ".join(output.split())
    assert "16/0/24" in output
    assert "better" in output
    assert sorted(path.name for path in folder.iterdir()) == before


def test_the_family_can_be_named_or_read_from_checkpoints_toml(folder, tmp_path):
    file = tmp_path / "checkpoints.toml"
    file.write_text('primary = ["mbpp"]\n[checkpoints.base]\npath = "base"\n')
    named, read = (call(folder, "--format", "text", *more) for more in (("--primary", "mbpp"), ("--checkpoints", file)))
    assert named == read
    assert "on mbpp: +40.0 points" in named
    assert "on the mean of 2 primary tasks" in call(folder, "--format", "text")


def test_a_margin_and_a_family_that_fit_nothing_are_refused(folder):
    with pytest.raises(ReportError, match="did you mean mbpp"):
        call(folder, "--primary", "mbbp")
    with pytest.raises(ReportError, match="margin"):
        call(folder, "--margin", "0")


def test_html_writes_the_files_with_the_declared_terms(folder):
    written = {Path(line) for line in call(folder, "--primary", "mbpp", "--margin", "2").splitlines()}
    assert all(path.is_file() for path in written)
    assert {str(path.relative_to(folder)) for path in written} == WRITTEN
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "inside ±2 points" in page
    assert "is better than base on mbpp" in page
