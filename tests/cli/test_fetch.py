"""`ft-eval fetch`: from the command line to a mirror and back, every mistake one line and exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ft_eval.cli.main import main
from tests.harness.test_fetch import GSM8K_CARD, MAIN, parquet
from tests.harness.test_fetch_hub import StandIn, go_online, running


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run the command line beside a hub of one dataset; gives its exit code, stdout and stderr."""
    from huggingface_hub import close_session

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    go_online(monkeypatch)
    stand_in = StandIn()
    stand_in.repositories["openai/gsm8k"] = {"README.md": GSM8K_CARD, MAIN[0]: parquet("a"), MAIN[1]: parquet("b")}

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            main(list(arguments))
            code = 0
        except SystemExit as leave:
            code = int(leave.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    with running(stand_in):
        monkeypatch.setenv("HF_ENDPOINT", stand_in.address)
        yield run
    close_session()


def test_fetch_then_check_then_a_damaged_file(call, tmp_path):
    code, out, err = call("fetch", "--tasks", "ft_gsm8k", "--to", "mirror")
    assert (code, err) == (0, "")
    assert "openai/gsm8k @ cccccccccccc: 3 files fetched" in out
    assert "ft-eval run --data-dir mirror" in out
    assert call("fetch", "--check", "mirror")[0] == 0
    assert call("fetch", "--check", "--to", "mirror")[:2] == (0, "mirror is what its manifest says\n")
    (tmp_path / "mirror/openai/gsm8k" / MAIN[0]).write_bytes(b"rot")
    (tmp_path / "mirror/openai/gsm8k" / MAIN[1]).unlink()
    (tmp_path / "mirror/ex\ntra").touch()
    code, out, err = call("fetch", "--check", "mirror")
    assert code == 2
    assert out.splitlines() == [f"missing  openai/gsm8k/{MAIN[1]}", f"changed  openai/gsm8k/{MAIN[0]}", "extra  ex?tra"]
    assert err.startswith("error: mirror is not what its manifest says: 1 missing, 1 changed, 1 extra")
    assert call("fetch", "--tasks", "ft_gsm8k", "--to", "mirror")[0] == 0
    (tmp_path / "mirror/ex\ntra").unlink()
    assert call("fetch", "--check", "mirror")[0] == 0


def test_what_can_be_typed_next_is_quoted(call):
    assert "--data-dir 'mir ror' --offline" in call("fetch", "--tasks", "ft_gsm8k", "--to", "mir ror")[1]


def test_the_advice_fits_what_was_found(call, tmp_path):
    assert call("fetch", "--tasks", "ft_gsm8k", "--to", "mirror")[0] == 0
    (tmp_path / "mirror/extra").touch()
    assert call("fetch", "--check", "mirror")[2].endswith("0 missing, 0 changed, 1 extra; move away what is extra\n")
    (tmp_path / "mirror/openai/gsm8k" / MAIN[0]).unlink()
    assert "1 extra; run its `ft-eval fetch` again and move away what is extra" in call("fetch", "--check", "mirror")[2]
    (tmp_path / "mirror/extra").unlink()
    assert call("fetch", "--check", "mirror")[2].endswith("0 extra; run its `ft-eval fetch` again\n")


def test_the_hub_is_asked_for_datasets_alone(tmp_path):
    """In a process of its own: what the library may ask, it reads from the environment when it is imported."""
    stand_in = StandIn()
    stand_in.repositories["openai/gsm8k"] = {"README.md": GSM8K_CARD, MAIN[0]: parquet("a"), MAIN[1]: parquet("b")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    with running(stand_in):
        environment = {**kept, "HF_ENDPOINT": stand_in.address, "HF_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-m", "ft_eval", "fetch", "--tasks", "ft_gsm8k", "--to", str(tmp_path / "mirror")]
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [path for path in stand_in.log if not path.startswith(("/api/datasets/", "/datasets/", "/cdn/"))] == []


def test_a_hub_that_is_not_there_is_one_line_and_leaves_nothing(call, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, _, err = call("fetch", "--tasks", "ft_gsm8k", "--to", "mirror")
    assert (code, err.count("\n"), "can't be reached" in err) == (2, 1, True), err
    assert not Path("mirror").exists()


def test_bundled_data_is_said_to_be_bundled(call):
    assert call("fetch", "--tasks", "toy_mmlu", "--to", "mirror")[:2] == (
        0,
        "nothing to fetch: the data of toy_mmlu comes with ft-eval\n",
    )


MISTAKES = {
    "no folder": (["--tasks", "ft_gsm8k"], "no folder was given; pass --to DIR"),
    "two folders": (["a", "--tasks", "ft_gsm8k", "--to", "b"], "two folders were given"),
    "no task": (["--to", "m"], "no task was named"),
    "revision": (["--tasks", "ft_gsm8k", "--to", "m", "--revision", "main"], "expected ORG/NAME=REVISION"),
    "two revisions": (
        ["--tasks", "ft_gsm8k", "--to", "m", "--revision", "a/b=x", "--revision", "a/b=y"],
        "two were given, x and y",
    ),
    "revision that is not there": (
        ["--tasks", "ft_gsm8k", "--to", "m", "--revision", "openai/gsm8k=v9"],
        "has no revision v9",
    ),
    "dataset that is not there": (["--tasks", "ft_boolq", "--to", "m"], "aps/super_glue: http://127.0.0.1"),
    "check with tasks": (["--check", "m", "--tasks", "ft_gsm8k"], "leave --tasks and --revision out"),
    "check of nothing": (["--check", "absent"], "absent has no manifest.json"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(call, mistake):
    arguments, words = MISTAKES[mistake]
    code, out, err = call("fetch", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
