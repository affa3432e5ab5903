"""What tests of several modules need: the paper's rows, from the shared data and as their files say, and a sandbox."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ft_eval.errors import SandboxError
from ft_eval.harness import code_tasks
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.task_index import our_tasks
from ft_eval.harness.tasks import TaskOptions, load_tasks
from ft_eval.records import TaskSpec
from ft_eval.sandbox.records import Limits

NUM_DOCS = 3


@dataclass(frozen=True)
class Loader:
    """Builds a task from the shared data, RACE from the made-up mirror."""

    data_dir: Path
    race_dir: Path

    def __call__(self, name: str, limit: int | None = NUM_DOCS) -> tuple[TaskSpec, Any]:
        folder = self.race_dir if "race" in name else self.data_dir
        loaded = load_tasks([name], TaskOptions(limit=limit), DataSource(data_dir=folder, offline=True))
        return loaded.specs[0], loaded.tasks[name]


@pytest.fixture
def session() -> Iterator[code_tasks.CodeSession]:
    """Programs are scored meanwhile; skips where no sandbox can be opened."""
    settings = code_tasks.CodeTaskSettings(offline=True, limits=Limits(call_seconds=2.0))
    with code_tasks.session(settings) as opened:
        try:
            _ = opened.description
        except SandboxError as error:
            pytest.skip(f"no sandbox here: {error}")
        yield opened


@pytest.fixture(scope="session")
def race_dir(tmp_path_factory) -> Path:
    """Three questions, two of them about one article, in the layout and with the fields of ehovy/race."""
    root = tmp_path_factory.mktemp("mirror")
    folder = root / "ehovy" / "race"
    front = "".join(
        f"- config_name: {kind}\n  data_files:\n  - split: test\n    path: {kind}/test.jsonl\n"
        for kind in ("high", "middle")
    )
    rows = [
        {"example_id": "h1.txt", "article": "Ann has a dog.", "question": "Who has it?", "answer": "A"},
        {"example_id": "h1.txt", "article": "Ann has a dog.", "question": "Ann has _ .", "answer": "D"},
        {"example_id": "h2.txt", "article": "It rains.", "question": "What is wet?", "answer": "C"},
    ]
    options = ["Ann", "Bob", "the street", "a dog"]
    for kind in ("high", "middle"):
        (folder / kind).mkdir(parents=True)
        lines = "".join(json.dumps({**row, "options": options}) + "\n" for row in rows)
        (folder / kind / "test.jsonl").write_text(lines)
    (folder / "README.md").write_text(f"---\nconfigs:\n{front}---\n")
    return root


@pytest.fixture(scope="session")
def build(data_dir, race_dir) -> Loader:
    return Loader(data_dir, race_dir)


@pytest.fixture(scope="session")
def index() -> Mapping[str, Mapping[str, Any]]:
    """What each of our task files says, by name."""
    return {name: entry.cfg or {} for name, entry in our_tasks().task_index.items()}
