"""Where a command's outcome goes: a named file, a link, a pipe, a reader that has gone, a stream that was closed."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_score import RIGHT, SCORE, boxed, call, completions, write
from tests.fakes import write_checkpoint

__all__ = ["boxed", "call"]

UNSAFE = ("--sandbox", "none", "--allow-unsafe-code")


@pytest.fixture
def samples(call) -> None:
    write("samples.jsonl", *completions(RIGHT, RIGHT))


@pytest.mark.parametrize("name", ["samples.jsonl", "problems.jsonl", "link", "hard"])
def test_an_input_of_score_is_never_written_over(call, samples, name):
    Path("link").symlink_to("problems.jsonl")
    Path("hard").hardlink_to("samples.jsonl")
    before = {path: path.read_bytes() for path in Path.cwd().iterdir()}
    code, out, err = call(*SCORE, *UNSAFE, "--json", name)
    assert (code, out, err) == (2, "", f"error: --json {name}: that is an input; name another file\n")
    assert {path: path.read_bytes() for path in Path.cwd().iterdir()} == before


def test_the_release_that_is_scored_against_is_never_written_over(call, tmp_path):
    release = tmp_path / "data" / "evalplus-release" / "MbppPlus.jsonl.gz"
    release.parent.mkdir(parents=True)
    release.write_bytes(Path("problems.jsonl").read_bytes())
    before = release.read_bytes()
    write("samples.jsonl", *completions(RIGHT))
    code, _, err = call(*SCORE[:4], *UNSAFE, "--data-dir", release.parents[1], "--offline", "--json", release)
    assert (code, "that is an input; name another file" in err) == (2, True)
    assert release.read_bytes() == before


def test_a_folder_that_can_not_be_written_is_found_out_before_anything_is_scored(call, samples, monkeypatch):
    def refuse(*_args: object, **_named: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    code, out, err = call(*SCORE, *UNSAFE, "--json", "out.json")
    assert (code, out) == (2, "")
    assert err == "error: --json out.json can't be written (Permission denied); name another file\n"


def test_scores_that_find_no_room_are_shown_and_the_exit_code_says_it(call, samples, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, out, err = call(*SCORE, *UNSAFE, "--json", "out.json")
    assert code == 4
    assert "2 samples: 2 passed" in out
    assert "error: --json out.json can't be written (No space left on device); make room" in err
    assert not Path("out.json").exists()


def start(arguments: tuple[object, ...], **more: object) -> subprocess.CompletedProcess[bytes]:
    """`ft-eval` in a process of its own, where streams are real."""
    command = [sys.executable, "-m", "ft_eval", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output="stdout" not in more, **more)  # type: ignore[call-overload]


def test_scores_for_stdout_are_all_that_stands_there(call, samples):
    done = start((*SCORE, *UNSAFE, "--json", "/dev/stdout"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["num_samples"] == 2
    assert b"2 samples: 2 passed" in done.stderr


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_scores_are_kept_where_nobody_reads_what_is_shown(call, samples):
    done = start((*SCORE, *UNSAFE, "--json", "out.json"), stdout=closed_pipe(), stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr.count(b"\n")) == (141, 1), done.stderr
    assert json.loads(Path("out.json").read_text())["num_samples"] == 2


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("m") / "base")


def test_a_reader_of_a_table_that_goes_away_is_no_error(call, model):
    run = ("run", "--ckpt", model, "--tasks", "toy_mmlu", "--limit", "2", "--offline", "-o", "out", "-q")
    assert call(*run)[0] == 0
    for arguments in ((*run, "--dry-run"), ("report", "out", "--format", "text"), run[:-1]):
        done = start(arguments, stdout=closed_pipe(), stderr=subprocess.PIPE)
        assert (done.returncode, b"Error" in done.stderr) == (141, False), (arguments, done.stderr)


def test_a_closed_stderr_is_no_reason_to_stop(call, samples, model):
    run = ("run", "--ckpt", model, "--tasks", "toy_mmlu", "--limit", "2", "--offline", "-o", "out")
    for arguments, words in (((*SCORE, *UNSAFE), "2 samples: 2 passed"), (run, "run kept in out")):
        command = '"$0" -m ft_eval "$@" 2>&-'
        done = subprocess.run(
            ["sh", "-c", command, sys.executable, *map(str, arguments)], check=False, stdout=subprocess.PIPE
        )
        assert (done.returncode, words in done.stdout.decode()) == (0, True), arguments
