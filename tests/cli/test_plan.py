"""`ft-eval plan` before a run, `run --plan`, and what a report says of deviations."""

from pathlib import Path

import pytest

from ft_eval.cli.main import main
from ft_eval.errors import StoreError
from ft_eval.records import Registration
from ft_eval.report import build_report
from ft_eval.resources import toy_dir
from ft_eval.store import RunStore
from ft_eval.store.plan_file import read_plan_file, write_plan_file
from tests.report.fakes import baseline, job, latent, task

SPEC = task()
PLAN = Registration(
    jobs=(job(baseline(), SPEC), job(latent(), SPEC)),
    primary=("gsm8k",),
    command="x",
    created_at="2026-10-01T00:00:00Z",
)


def test_a_plan_is_read_as_it_was_written_and_never_written_over(tmp_path: Path) -> None:
    write_plan_file(tmp_path / "plan.json", PLAN)
    assert read_plan_file(tmp_path / "plan.json") == PLAN
    with pytest.raises(StoreError, match="not written twice"):
        write_plan_file(tmp_path / "plan.json", PLAN)


@pytest.mark.parametrize(("old", "new"), [(b'"limit":null', b'"limit":5'), (b'["gsm8k"]', b'["mbpp!"]'), (b"}", b"")])
def test_an_edited_plan_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tmp_path / "plan.json"
    write_plan_file(path, PLAN)
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(StoreError, match="edited"):
        read_plan_file(path)


def planned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write plan.json for the toy pair on two documents, and go to its folder."""
    monkeypatch.chdir(folder)
    flags = ["--ckpt", str(toy_dir()), "--tasks", "toy_mmlu", "--limit", "2", "--primary", "toy_mmlu", "--margin", "3"]
    monkeypatch.setattr("sys.argv", ["ft-eval", "plan", *flags])
    main(["plan", *flags])
    monkeypatch.setattr("sys.argv", ["ft-eval", "run", "--plan", "plan.json"])


def test_a_run_does_what_was_planned_and_its_report_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planned(tmp_path, monkeypatch)
    assert "2 jobs written to plan.json, sha256 " in capsys.readouterr().out
    main(["run", "--plan", "plan.json", "-o", "as-planned"])
    assert "As planned: plan " in " ".join(capsys.readouterr().out.split())
    report = build_report([RunStore.open(tmp_path / "as-planned")])
    assert (report.terms.primary, report.terms.margin_points) == (("toy_mmlu",), 3.0)


def test_what_a_run_does_otherwise_than_planned_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planned(tmp_path, monkeypatch)
    main(["run", "--plan", "plan.json", "--limit", "1", "-o", "otherwise"])
    said = capsys.readouterr()
    assert "2 of 2 planned jobs are not in it" in said.err
    deviation = "toy-baseline on toy_mmlu; toy-latent (prior) on toy_mmlu: limit: planned 2, found 1"
    assert deviation in " ".join(said.out.split())
