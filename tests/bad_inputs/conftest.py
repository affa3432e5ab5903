"""The command line in process, in an empty folder, and what holds every case of the list."""

import os
from pathlib import Path
from typing import Any

import pytest

import ft_eval.harness.task_index
from tests.bad_inputs.case import Case, Room, matches, snapshot
from tests.bad_inputs.index import rows
from tests.fakes import caller, write_checkpoint


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("template") / "base", max_length=128)


@pytest.fixture
def room(tmp_path, template, monkeypatch) -> Room:
    made = Room(tmp_path, template)
    monkeypatch.setattr(ft_eval.harness.task_index, "tasks_dir", made.tasks_dir)
    monkeypatch.chdir(made.work)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return made


@pytest.fixture
def call(capsys):
    """Run the command line; gives its exit code, stdout and stderr."""
    return caller(capsys)


def _but_who_came(found: dict[str, Any]) -> dict[str, Any]:
    """Without `run.lock`, which names the last process that looked whether the run is its own."""
    return {name: state for name, state in found.items() if not name.endswith("run.lock")}


@pytest.fixture
def hold(room, call, capsys):
    """Hold a case: its line, its exit code, and that nothing was written, changed or left behind."""

    def check(case: Case) -> None:
        row = rows()[case.number, case.what]
        arguments = case.prepare(room)
        capsys.readouterr()
        before = snapshot(room.inputs.parent)
        code, out, err = call(*arguments)
        said = [line for line in err.splitlines() if line.lower().startswith(("error: ", "warning: "))]
        assert code == row.exit_code, err
        assert "Traceback" not in err
        assert [line for line in said if matches(row.answer, line)], f"expected {row.answer!r} in {said}\n{err}"
        if code:
            assert len([line for line in said if line.lower().startswith("error")]) == 1
            assert out == ""
        assert _but_who_came(snapshot(room.inputs.parent)) == _but_who_came(before)

    return check
