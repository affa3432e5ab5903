"""The whole probe on a random checkpoint, its files, and the mistakes it answers with one line."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from ft_eval.cli.probe import probe
from ft_eval.errors import CheckpointError, FtEvalError, UsageError
from ft_eval.model.checkpoint import save_model
from ft_eval.model.tokenizer import byte_tokenizer_json
from ft_eval.model.training import new_model
from ft_eval.probe.page import probe_page
from ft_eval.probe.probe import ProbeOptions, ProbeSizes, enumerate_text, probe_checkpoint
from ft_eval.probe.records import Estimator, ProbeReport
from ft_eval.records import Arm
from ft_eval.report.probe_page import render_probe_page
from ft_eval.store.codec import load
from ft_eval.toy.recipe import Backbone, Recipe
from tests.fakes import write_checkpoint

HOSTILE = "<script>alert(1)</script>\x1b[31m & \u202e [bold]x[/bold]"


@pytest.fixture(autouse=True)
def _short_completions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ft_eval.probe.probe._MAX_COMPLETION_TOKENS", 6)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "few<b>.txt"
    path.write_text("hello there\nanother text of some length\nand a third\n")
    return path


def _run(*arguments: str | Path) -> None:
    probe.main([str(argument) for argument in arguments], standalone_mode=False)


def test_given_texts_give_all_measures_and_two_files(
    tmp_path: Path, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write_checkpoint(tmp_path / "latent", num_bits=3)
    baseline = write_checkpoint(tmp_path / "base")
    _run(checkpoint, "--baseline", baseline, "--texts", texts, "--num-draws", "4", "--to", tmp_path / "out")
    report = load(ProbeReport, (tmp_path / "out" / "probe.json").read_text(), versioned=True)
    assert {row.model for row in report.likelihoods} == {"latent", "base"}
    assert report.usage[0].num_texts == 3
    assert len(report.usage[0].bits) == 3
    assert len(report.steering) == 2
    assert not report.truths, "the target source is for models that read it"
    printed = capsys.readouterr().out
    assert "bits per token" in printed
    assert "probe.html" in printed


def test_the_same_command_writes_the_same_bytes(tmp_path: Path, texts: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "latent", num_bits=3)
    for name in ("one", "two"):
        _run(checkpoint, "--texts", texts, "--num-draws", "2", "--to", tmp_path / name)
    for file in ("probe.json", "probe.html"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_toy_needs_no_texts_and_is_held_against_the_truth(tmp_path: Path) -> None:
    recipe = Recipe(
        backbone=Backbone(hidden_size=16, num_layers=2, intermediate_size=16, max_position_embeddings=300),
        num_latent_bits=2,
    )
    for arm in Arm:
        save_model(new_model(recipe.model_config(arm), seed=0), tmp_path / arm, tokenizer_json=byte_tokenizer_json())
    report = probe_checkpoint(
        ProbeOptions(
            checkpoint=tmp_path / "latent",
            baseline=tmp_path / "baseline",
            num_draws=2,
            num_answers=2,
            sizes=ProbeSizes(texts_per_source=2, prompts=2, problems=2, sequences=2),
        )
    )
    assert [usage.group for usage in report.usage] == ["all", "target", "problems", "choices", "functions"]
    assert {row.estimator for row in report.truths} == set(Estimator)
    assert {row.k for row in report.diversity if row.model == "latent"} == {1, 2}
    html = render_probe_page(probe_page(report))
    assert "Against the truth" in html
    assert "Is Z worth draws?" in html


def test_a_baseline_a_missing_text_and_a_wrong_pair_are_one_line_each(tmp_path: Path, texts: Path) -> None:
    latent = write_checkpoint(tmp_path / "latent", num_bits=3)
    baseline = write_checkpoint(tmp_path / "base")
    cases: list[tuple[tuple[str | Path, ...], type[FtEvalError], str]] = [
        ((baseline, "--texts", texts), CheckpointError, "is a baseline"),
        ((latent,), UsageError, "--texts"),
        ((latent, "--baseline", latent, "--texts", texts), UsageError, "has a latent"),
        ((), UsageError, "no checkpoint"),
        (("--synthetic",), UsageError, "--to DIR"),
        ((latent, "--synthetic", "--to", tmp_path), UsageError, "give no CKPT"),
        ((tmp_path / "absent", "--texts", texts), CheckpointError, "no such file or folder"),
    ]
    for arguments, kind, says in cases:
        with pytest.raises(kind, match=says) as raised:
            _run(*arguments)
        assert raised.value.exit_code == 2
        assert "\n" not in str(raised.value)


def test_a_latent_checkpoint_without_its_encoder_is_one_line(tmp_path: Path, texts: Path) -> None:
    """A baseline's weights under a config that promises a latent."""
    folder = write_checkpoint(tmp_path / "headless")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "free_transformer", "latent_num_bits": 3}))
    with pytest.raises(CheckpointError) as raised:
        _run(folder, "--texts", texts)
    assert "latent" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_kappa_in_nats_is_questioned_in_the_report(tmp_path: Path, texts: Path) -> None:
    folder = write_checkpoint(tmp_path / "latent", num_bits=3)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"latent_kappa_bits": 0.6931}))
    report = probe_checkpoint(ProbeOptions(checkpoint=folder, texts=texts, num_draws=2))
    assert any("in nats" in note for note in report.notes)
    assert report.kappa_bits == 0.6931, "asked, not changed"


def test_enumeration_prints_the_sum_and_the_estimators(
    tmp_path: Path, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write_checkpoint(tmp_path / "latent", num_bits=8)
    _run(checkpoint, "--texts", texts, "--enumerate")
    printed = capsys.readouterr().out
    table = enumerate_text(ProbeOptions(checkpoint=checkpoint, texts=texts))
    assert f"{table.exact_nats:.6f}" in printed
    assert "posterior" in printed
    assert len(table.codes) == 2**16


def test_help_is_had_without_a_heavy_import() -> None:
    assert "--synthetic" in CliRunner().invoke(probe, ["--help"]).output


def test_the_page_is_one_file_without_scripts_and_hostile_text_stays_text(tmp_path: Path, texts: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "latent", num_bits=3)
    report = probe_checkpoint(ProbeOptions(checkpoint=checkpoint, texts=texts, num_draws=2))
    usage = tuple(replace(one, group=HOSTILE) for one in report.usage)
    html = render_probe_page(probe_page(replace(report, usage=usage, checkpoint=HOSTILE, notes=(HOSTILE,))))
    assert "<script" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert html.count("&lt;script&gt;") >= 3
    assert not re.search(r"""(?:src|href)=["'](?!#)""", html), "no request"
    assert not re.search(r"url\(|@import", html)
