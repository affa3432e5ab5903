"""A run in a store is gated, looked at, reported and continued by its address, each time from another machine.

The store is fsspec's in memory; a machine is a cache folder.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ft_eval.cli.main import main
from ft_eval.resources import toy_dir
from ft_eval.store import ResponseLog, RunStore
from ft_eval.store.remote.objects import Objects
from ft_eval.store.remote.opening import kept_at
from ft_eval.store.remote.url import RunUrl
from tests.report.fakes import baseline, job, latent, store, task

fsspec = pytest.importorskip("fsspec")

URL = RunUrl(protocol="memory", path="bucket/run")
RUN = ["run", "--ckpt", str(toy_dir()), "--tasks", "toy_mmlu", "--limit", "4", "--offline", "-o", str(URL)]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """From now on this process is the machine of that name."""

    def become(name: str) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))

    become("first")
    yield become
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def finished(machine: Callable[[str], None]) -> None:
    """A run of two jobs at the address, written on the first machine; this is the second one."""
    spec = task("gsm8k", num_docs=100)
    made = store({job(baseline(), spec): [1.0] * 50 + [0.0] * 50, job(latent(), spec): [1.0] * 70 + [0.0] * 30})
    with kept_at(URL, print) as kept, RunStore.open_or_create(kept.folder, made.plan) as run:
        for owner in made.plan.jobs:
            run.finish(made.results[owner.id], made.stored[owner.id])
    machine("second")


def code(argv: list[str]) -> object:
    """The exit code of a command."""
    try:
        main(argv)
    except SystemExit as left:
        return left.code or 0
    return 0


def objects() -> dict[str, bytes | None]:
    """What the store holds."""
    found = Objects(URL)
    return {name: found.get(name) for name in found.list()}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [("[all]\nbetter_than = 0", 0), ("[all]\nbetter_than = 50", 1), ("[tasks.mmlu]\nmin_score = 1", 4)],
)
@pytest.mark.usefixtures("finished")
def test_a_gate_over_an_address_says_what_it_says_over_a_folder_and_writes_nothing_there(
    rules: str, expected: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy.toml").write_text(rules)
    before = objects()
    junit = tmp_path / "gate.xml"
    assert code(["gate", str(URL), "--policy", str(tmp_path / "policy.toml"), "--junit", str(junit)]) == expected
    there = capsys.readouterr().out
    assert "gate: " in there
    assert junit.is_file()
    assert objects() == before
    assert code(["gate", str(URL.working_copy / "run"), "--policy", str(tmp_path / "policy.toml")]) == expected
    assert capsys.readouterr().out == there


@pytest.mark.usefixtures("finished")
def test_status_of_an_address_names_it_and_writes_nothing_there(capsys: pytest.CaptureFixture[str]) -> None:
    before = objects()
    assert code(["status", str(URL), "--watch"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{URL}: done\n")
    assert "2 of 2 jobs done" in said
    assert objects() == before


@pytest.mark.usefixtures("finished")
def test_a_report_of_an_address_lies_beside_its_run_or_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = objects()
    assert code(["report", str(URL), "-o", str(tmp_path / "here")]) == 0
    assert (tmp_path / "here" / "report.html").is_file()
    assert objects() == before
    capsys.readouterr()
    assert code(["report", str(URL)]) == 0
    assert f"{URL}/report.html" in capsys.readouterr().out.split("\n")
    assert {"report.html", "samples.parquet"} < objects().keys() - before.keys()


@pytest.mark.parametrize("command", [["status"], ["report"], ["gate", "--policy", "policy.toml"]])
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("memory://bucket/none", "memory://bucket/none: no run here (no run.json)"),
        ("memory://../x", "'memory://../x' is no address of a run"),
        ("s4://bucket/run", "s4://bucket/run: Protocol not known: s4"),
    ],
    ids=["no run", "no address", "no such protocol"],
)
@pytest.mark.usefixtures("machine")
def test_an_address_without_a_run_is_one_line(
    command: list[str],
    address: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.toml").write_text("[all]\nbetter_than = 0")
    assert code([*command, address]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize("command", [["status"], ["report"], ["gate", "--policy", "policy.toml"]])
@pytest.mark.usefixtures("finished")
def test_a_store_that_cannot_be_reached_is_one_line_and_another_exit_code(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise TimeoutError("read timed out")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.toml").write_text("[all]\nbetter_than = 0")
    monkeypatch.setattr(fsspec.filesystem("memory"), "find", lost, raising=False)
    assert code([*command, str(URL)]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {URL}: can't list: ")


def test_a_run_that_was_ended_goes_on_from_its_address_on_another_machine(
    machine: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    append = ResponseLog.append

    def counted(log: ResponseLog, answer: Any) -> None:
        if stops and len(asked) == 5:
            raise KeyboardInterrupt
        append(log, answer)
        asked.append(f"{log.path.parent.name}/{answer.key}")

    stops = True
    monkeypatch.setattr(ResponseLog, "append", counted)
    assert code(RUN) == 130
    machine("second")
    capsys.readouterr()
    assert code(["status", str(URL)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{URL}: stopped\n")
    assert "5 answers kept" in said
    assert "continue with: ft-eval" in said  # and what this process was called with
    stops = False
    assert code(RUN) == 0
    assert len(asked) == len(set(asked)) > 5  # nothing is asked twice
    machine("third")
    capsys.readouterr()
    assert code(["status", str(URL)]) == 0
    assert f"{URL}: done" in capsys.readouterr().out
