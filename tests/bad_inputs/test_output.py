"""Cases 69 to 80: the run's folder, the machine that it runs on, and whoever reads what comes out."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from ft_eval import environment
from ft_eval.cli.main import cli
from ft_eval.engine.device import told_when_lost
from ft_eval.environment import redact
from ft_eval.harness import evaluate
from ft_eval.model.transformer import Transformer
from ft_eval.run import journal
from ft_eval.store import RunStore, owner
from ft_eval.store.lock import RunLock
from ft_eval.store.seal import seal, unseal
from tests.bad_inputs.case import Case, Held, Room, run_arguments

STORE = "tests/store/test_run_store.py"


def into(place: Callable[[Room], Path]) -> Callable[[Room], Sequence[object]]:
    """A run into a place that is prepared for it."""
    return lambda room: run_arguments(room.checkpoint(), "-o", place(room))


def a_file(room: Room) -> Path:
    return room.write("run", "not a folder")


def a_full_folder(room: Room) -> Path:
    return room.write("run/letter.txt", "dear").parent


def after_a_run(*more: object, then: Sequence[object] = ()) -> Callable[[Room], Sequence[object]]:
    """A run that was done with some flags goes on with others."""

    def prepare(room: Room) -> Sequence[object]:
        arguments = run_arguments(room.checkpoint(), "-o", room.inputs / "run", "--quiet")
        cli(args=[str(argument) for argument in (*arguments, *more)], standalone_mode=False)
        return [*arguments, *then]

    return prepare


def in_use(room: Room) -> Path:
    after_a_run()(room)
    RunLock.acquire(room.inputs / "run" / "run.lock")  # held until the process ends: its folder is this test's own
    return room.inputs / "run"


def another_tokenizer(room: Room) -> Sequence[object]:
    arguments = after_a_run()(room)
    path = room.inputs / "ckpt" / "tokenizer.json"
    path.write_text(path.read_text() + "\n")
    return arguments


def of_a_later_version(room: Room) -> Sequence[object]:
    arguments = after_a_run()(room)
    path = room.inputs / "run" / "run.json"
    body = unseal(path.read_bytes())
    path.write_bytes(
        seal(re.sub(rb'"format_version": ?[0-9]+', b'"format_version":99', body, count=1).decode().strip())
    )
    return arguments


CASES = (
    Case(69, "a run's folder that is a file", into(a_file)),
    Case(69, "a run's folder that holds other things", into(a_full_folder)),
    Case(69, "a run's folder with another seed", after_a_run(then=("--seed", "5"))),
    Case(69, "a run's folder with another margin", after_a_run("--margin", "2", then=("--margin", "3"))),
    Case(69, "a run's folder with other primary tasks", after_a_run(then=("--primary", "toy_mmlu"))),
    Case(69, "a run's folder with another tokenizer", another_tokenizer),
    Case(69, "a run's folder in use", lambda room: run_arguments(room.inputs / "ckpt", "-o", in_use(room))),
    Case(69, "a run's folder of a later version", of_a_later_version),
    Case(71, "a GPU that is not there", lambda room: run_arguments(room.checkpoint(), "--device", "cuda:99")),
    Case(71, "a device that is none", lambda room: run_arguments(room.checkpoint(), "--device", "gpu")),
)
RENDER = "tests/report/test_render.py"
HELD = (
    Held(
        69,
        "a run's folder that can't be written",
        "tests/store/test_whose_run.py::test_a_folder_that_may_not_be_written_or_entered_is_one_clear_line",
    ),
    Held(
        69,
        "a cache that can't be written",
        "tests/harness/test_dataset_faults.py::test_a_cache_that_cannot_be_written_is_no_fault_of_the_task",
    ),
    Held(70, "a full disk", f"{STORE}::test_a_full_disk_at_any_write_is_one_clear_line_and_loses_nothing"),
    Held(
        70,
        "a full disk while fetching",
        "tests/harness/test_fetch.py::test_a_full_disk_is_one_clear_line_and_leaves_no_part",
    ),
    Held(70, "a full disk while a report is written", f"{RENDER}::test_write_report_leaves_whole_files"),
    Held(71, "a GPU that is lost during a run", "test_71_a_device_that_is_lost_is_one_line_and_the_run_goes_on"),
    Held(72, "a clock that jumps", "test_72_a_clock_that_jumps_changes_no_span_of_time"),
    Held(73, "a reader that goes away", "test_73_a_reader_that_goes_away_is_no_error"),
    Held(73, "a locale without the letters", "test_73_any_locale_can_be_spoken"),
    Held(73, "a dumb terminal", "test_73_a_dumb_terminal_gets_plain_lines"),
    Held(74, "markup in a model's answers", f"{RENDER}::test_hostile_text_never_becomes_markup"),
    Held(
        74,
        "a page that would ask for something",
        f"{RENDER}::test_the_policy_forbids_everything_but_the_pages_own_style_and_script",
    ),
    Held(
        75,
        "terminal escapes in names and answers",
        "tests/report/test_text.py::test_names_cannot_write_to_the_terminal",
    ),
    Held(
        75, "terminal escapes in an error", "tests/cli/test_cli.py::test_an_error_stays_on_its_line_whatever_is_in_it"
    ),
    Held(76, "formulas in a spreadsheet", "tests/report/test_exports.py::test_a_name_is_no_formula_in_a_spreadsheet"),
    Held(
        76,
        "bars in Markdown",
        "tests/report/test_exports.py::test_markdown_keeps_its_columns_and_shows_names_as_they_are",
    ),
    Held(
        77,
        "a name as a path",
        "tests/store/test_strange_files.py::test_a_name_that_is_no_job_of_the_run_never_becomes_a_path",
    ),
    Held(77, "a model's name in an export's file name", "tests/report/test_every_eval_ever.py::test_a_name_is_no_path"),
    Held(78, "secrets in a command", "test_78_what_opens_doors_is_not_recorded"),
    Held(78, "the home folder in a record", "tests/test_environment.py::test_the_environment_holds_no_home_folder"),
    Held(79, "Ctrl-C twice", "test_79_the_second_ctrl_c_ends_it_at_once_and_nothing_is_lost"),
    Held(80, "a newer Python or PyTorch", "test_80_versions_that_were_not_tested_are_told"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_folder_or_device_that_is_off_is_one_line(hold, case):
    hold(case)


def test_71_a_device_that_is_lost_is_one_line_and_the_run_goes_on(room, call, monkeypatch):
    """The error of a GPU that fell off its bus, out of the model itself."""
    arguments = run_arguments(room.checkpoint(), "-b", "1", "-o", room.inputs / "run")
    passes, logits = count(), Transformer.logits

    def lost(*given: Any, **named: Any) -> Any:
        if next(passes) >= 1:
            raise torch.AcceleratorError("CUDA error: unspecified launch failure\nSearch for it in the documentation.")
        return logits(*given, **named)

    monkeypatch.setattr(Transformer, "logits", lost)
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert "error: the device cpu is lost (CUDA error: unspecified launch failure); every answer so far is kept" in err
    assert "Traceback" not in err
    monkeypatch.setattr(Transformer, "logits", logits)
    assert call(*arguments)[0] == 0


def test_71_a_fault_of_a_kernel_of_ours_keeps_its_traceback():
    with pytest.raises(torch.AcceleratorError), told_when_lost("cuda:0"):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


class Jumping(datetime):
    """A wall clock that is set back by a day each time that somebody looks."""

    looks = count()

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) - timedelta(days=next(cls.looks))


def test_72_a_clock_that_jumps_changes_no_span_of_time(room, call, monkeypatch):
    for module in (evaluate, journal, owner):
        monkeypatch.setattr(module, "datetime", Jumping)
    monkeypatch.setattr(time, "time", lambda: -1e6 * next(Jumping.looks))
    started = time.monotonic()
    code, _, err = call(*run_arguments(room.checkpoint(), "-o", room.inputs / "run"))
    elapsed = time.monotonic() - started
    assert code == 0, err
    assert next(Jumping.looks) > 3, "somebody looked"
    store = RunStore.open(room.inputs / "run")
    result = store.result(store.plan.jobs[0].id)
    assert result is not None
    assert 0 < result.seconds < elapsed
    assert all(0 <= sample.seconds < elapsed for sample in store.samples(result.job_id))


def start(room: Room, *arguments: object, program: str = "", **more: Any) -> subprocess.Popen[bytes]:
    """`ft-eval` in a process of its own, after some lines of Python."""
    code = f"{program}\nfrom ft_eval.cli.main import main\nmain()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=room.work, **{"stderr": subprocess.PIPE, **more})


def test_73_a_reader_that_goes_away_is_no_error(room):
    with start(room, "tasks", "--help", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.mark.parametrize(
    ("settings", "letter"),
    [
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "\u03ba".encode()),
        ({"PYTHONIOENCODING": "latin-1"}, rb"\u03ba"),
    ],
    ids=["ascii", "latin-1"],
)
def test_73_any_locale_can_be_spoken(room, settings, letter):
    with start(room, "run", "--help", stdout=subprocess.PIPE, env={**os.environ, **settings}) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert letter in out


def test_73_a_dumb_terminal_gets_plain_lines(room):
    arguments = run_arguments(room.checkpoint(), "-o", room.inputs / "run")
    ours, theirs = pty.openpty()
    with start(room, *arguments, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "dumb"}) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # Linux: the other end is closed
            while part := os.read(ours, 2**16):
                said += part
        os.close(ours)
        assert process.wait() == 0, said
    assert b"\x1b" not in said
    assert b"toy_mmlu: done in" in said


def test_78_what_opens_doors_is_not_recorded():
    token = "hf_" + "A" * 30
    said = redact(f"ft-eval run --x s3://me:pass@host/a --y {token} API_KEY=abc --seed 3")
    assert said == "ft-eval run --x s3://***@host/a --y *** API_KEY=*** --seed 3"


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # in a script's background it is ignored, and stays so
from ft_eval.engine.engine import Engine
from ft_eval.run.journal import RunLog

def wait(name):
    print(name, flush=True)
    time.sleep(60)

score, close = Engine.score, RunLog.close
def scoring(self, requests, on_score, **more):
    score(self, requests, lambda *answer: (on_score(*answer), wait("answered")), **more)
Engine.score, RunLog.close = scoring, lambda self: wait("flushing")
"""


def test_79_the_second_ctrl_c_ends_it_at_once_and_nothing_is_lost(room, call):
    arguments = run_arguments(room.checkpoint(), "-o", room.inputs / "run")
    with start(room, *arguments, program=SLOW, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for expected in (b"answered\n", b"flushing\n"):
            assert process.stdout.readline() == expected
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    code, _, err = call(*arguments)
    assert code == 0, err
    assert "1 answers found, they are not asked again" in err


def test_80_versions_that_were_not_tested_are_told(room, call, monkeypatch):
    monkeypatch.setattr(environment, "_TESTED", {"python": "3.0", "torch": "99"})
    code, _, err = call(*run_arguments(room.checkpoint(), "--dry-run"))
    assert code == 0
    said = [line for line in err.splitlines() if "is newer than what ft-eval" in line]
    assert len(said) == 1
    assert said[0].startswith("warning: python 3.")
