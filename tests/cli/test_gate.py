"""`ft-eval gate`: its exit codes reach the shell, its JUnit file is written, and a mistake is one line."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ft_eval.cli.main import main
from ft_eval.store import RunStore
from tests.report.fakes import baseline, job, latent, store, task

SPEC = task("gsm8k", num_docs=100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = store({job(baseline(), SPEC): [1.0] * 50 + [0.0] * 50, job(latent(), SPEC): [1.0] * 70 + [0.0] * 30})
    with RunStore.create(tmp_path / "run", made.plan) as run:
        for owner in made.plan.jobs:
            run.finish(made.results[owner.id], made.stored[owner.id])
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ("[all]\nbetter_than = 0", 0),
        ("[all]\nbetter_than = 50", 1),
        ("[all]\nbetter_then = 0", 2),
        ("[all]\nbetter_than = 20", 3),
        ("[all]\nbetter_than = 0\n[tasks.mmlu]\nmin_score = 1", 4),
    ],
)
def test_the_outcome_is_the_exit_code(folder: Path, rules: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    policy, junit = folder.parent / "policy.toml", folder.parent / "gate.xml"
    policy.write_text(rules)
    try:
        main(["gate", str(folder), "--policy", str(policy), "--junit", str(junit)])
        found: object = 0
    except SystemExit as leave:
        found = leave.code
    assert found == code
    if code == 2:
        assert "did you mean better_than?" in capsys.readouterr().err
        assert not junit.exists()
    else:
        assert ET.parse(junit).getroot().get("tests") == ("2" if code == 4 else "1")  # noqa: S314 — our own file
        assert "gate: " in capsys.readouterr().out
