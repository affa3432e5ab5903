"""`ft-eval report` in the terminal: the page's verdicts, the declared family and the margin, and nothing written."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from ft_eval.cli.report import report
from ft_eval.errors import ReportError, StoreError
from ft_eval.probe.records import Estimator, LatentUsage, LikelihoodRow, ProbeReport
from ft_eval.report import build_report
from ft_eval.store import RunStore, dump
from tests.report.fakes import baseline, job, latent, sample, store, task

WRITTEN = {
    *(f"scores.{ending}" for ending in ("csv", "json", "md", "parquet", "tex")),
    *(f"sections.{ending}" for ending in ("csv", "parquet", "tex")),
    *("report.html", "samples.parquet", "every_eval_ever/base.json", "every_eval_ever/latent.json"),
}
PROBE = ProbeReport(
    checkpoint="probed-checkpoint",
    digest="ab" * 32,
    baseline=None,
    num_latent_bits=8,
    kappa_bits=0.5,
    notes=(),
    seed=0,
    usage=(
        LatentUsage(
            group="all", num_texts=3, num_tokens=30, kl_bits=0.5, information_bits=0.2, kl_bits_by_position=(0.5,),
            bits=(), num_active_bits=0, is_collapsed=False,
        ),
    ),
    likelihoods=(
        LikelihoodRow(
            model="probed-checkpoint", group="all", estimator=Estimator.ELBO, num_draws=1, total_nats=-9.0,
            stderr_nats=0.1, num_tokens=9, num_bytes=30, bits_per_byte=0.4, perplexity=2.7, ess=1.0,
        ),
    ),
)  # fmt: skip
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


def test_published_figures_stand_beside_ones_own_where_asked_for(folder):
    call(folder, "--reference", "paper")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Published figures" in page
    assert "8B, 1T tokens" in page
    assert "published" in (folder / "sections.csv").read_text(encoding="utf-8")
    assert "Published (Fleuret (2025)" in " ".join(call(folder, "--reference", "paper", "--format", "text").split())
    call(folder)
    assert "Published figures" not in (folder / "report.html").read_text(encoding="utf-8")


def test_an_unknown_reference_is_refused_with_the_known_one(folder):
    assert "'paper'" in call(folder, "--reference", "blog")


def test_what_a_probe_found_stands_in_the_section_on_z(folder, tmp_path):
    (tmp_path / "probe").mkdir()
    (tmp_path / "probe" / "probe.json").write_text(dump(PROBE, versioned=True), encoding="ascii")
    call(folder, "--probe", tmp_path / "probe")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.index('id="latent"') < page.index("probed-checkpoint") < page.index('id="cost"')


def test_a_folder_without_a_probe_is_refused_before_anything_is_written(folder, tmp_path):
    with pytest.raises(StoreError, match=r"probe.json: no such file; give the folder that `ft-eval probe` wrote"):
        call(folder, "--probe", tmp_path)
    assert not (folder / "report.html").exists()


def test_every_sample_is_written_in_the_shared_format_where_asked_for(folder):
    lines = call(folder, "--eee-samples").splitlines()
    rows = [Path(line) for line in lines if line.endswith("_samples.jsonl")]
    assert [len(path.read_bytes().splitlines()) for path in rows] == [80, 80]


def test_what_does_not_pair_is_refused_and_compared_where_asked_for(tmp_path):
    spec, other = SPECS[0], replace(SPECS[0], num_fewshot=0)
    owner = job(latent(), other)
    samples = [replace(sample(owner, i, 1.0), prompt_hash="0" * 60 + f"{i:04d}") for i in range(40)]
    made = store({job(baseline(), spec): [1.0] * 20 + [0.0] * 20, owner: samples})
    with RunStore.create(tmp_path / "run", made.plan) as run:
        for one in made.plan.jobs:
            run.finish(made.results[one.id], made.stored[one.id])
    with pytest.raises(ReportError, match="pass --unpaired to compare them as two samples"):
        call(tmp_path / "run")
    output = " ".join(call(tmp_path / "run", "--unpaired", "--format", "text").split())
    assert "is better than base" in output
    assert "unpaired" in output
    call(tmp_path / "run", "--unpaired")
    (row,) = [
        row
        for row in csv.DictReader((tmp_path / "run" / "scores.csv").read_text(encoding="utf-8").splitlines())
        if row["is_unpaired"] == "True"
    ]
    assert (row["num_pairs"], row["num_items"], row["test"]) == ("0", "80", "two proportions, unpaired")
