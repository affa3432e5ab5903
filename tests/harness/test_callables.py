"""A callable is told by what it does, the same in every process; an address never tells one."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lm_eval.api.task import TaskConfig

from ft_eval.harness.callables import stands_for
from ft_eval.harness.documents import settings_digest
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import LoadedTasks, TaskOptions, load_tasks

OWN = """
from functools import partial

def put(doc, k='a'):
    return doc['question'] + k

given = partial(put, k='q')

class Ask:
    def __init__(self, k):
        self.k, self.me, self.seen = k, self, {('a', 1): {'x'}}

    def __call__(self, doc):
        return doc['question'] + self.k

ask = Ask('x')
made = eval("lambda doc: doc['question']")
"""
FILE = """
task: mine
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: generate_until
test_split: test
doc_to_text: !function own.{name}
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["x"]}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""
IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import TaskOptions, load_tasks
options = TaskOptions(include_paths=(Path(sys.argv[1]),), trust_code=True)
loaded = load_tasks(["put", "given", "ask", "made"], options, DataSource(offline=True))
print(*(spec.settings_digest for spec in loaded.specs))
"""


def write(folder: Path, *names: str) -> Path:
    """A folder with a task for each of these callables, named after it."""
    (folder / "data.jsonl").write_text(json.dumps({"question": "1+1=", "answer": "2"}) + "\n")
    (folder / "own.py").write_text(OWN)
    for name in names:
        text = FILE.format(data=folder / "data.jsonl", name=name).replace("task: mine", f"task: {name}")
        (folder / f"{name}.yaml").write_text(text)
    return folder


def load(folder: Path, *names: str) -> LoadedTasks:
    options = TaskOptions(include_paths=(folder,), trust_code=True)
    return load_tasks(names, options, DataSource(offline=True))


def test_a_task_with_code_is_the_same_job_in_every_process(tmp_path: Path) -> None:
    names = ("put", "given", "ask", "made")
    folder = write(tmp_path, *names)
    there = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, str(folder)], capture_output=True, text=True, check=True, timeout=100
    )
    here = [spec.settings_digest for spec in load(folder, *names).specs]
    assert here == there.stdout.split()[-len(names) :]
    assert len(set(here)) == len(names)


@pytest.mark.parametrize("name", ["ask", "given", "put"])
def test_a_group_that_only_names_such_a_task_asks_it_once(tmp_path: Path, name: str) -> None:
    (write(tmp_path, name) / "g.yaml").write_text(f"group: g\ntask: [{name}]\n")
    assert [spec.name for spec in load(tmp_path, name, "g").specs] == [name]


class Ask:
    """Has a state, a part of it in a slot."""

    __slots__ = ("__dict__", "slot")

    def __init__(self, k: object, slot: object = 0) -> None:
        self.k, self.slot = k, slot

    def __call__(self, doc: dict[str, str]) -> str:
        return f"{doc['question']}{self.k}{self.slot}"


def put(doc: dict[str, str], k: str = "") -> str:
    return doc["question"] + k


def other(doc: dict[str, str], k: str = "") -> str:
    return k + doc["question"]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (Ask(1), Ask(2)),
        (Ask(1, slot=1), Ask(1, slot=2)),
        (Ask(put), Ask(other)),
        (partial(put, k="a"), partial(put, k="b")),
        (partial(put, {"question": ""}), partial(put)),
        (partial(put, k="a"), partial(other, k="a")),
        (put, other),
        (Ask, LoadedTasks),
    ],
)
def test_what_differs_is_told_apart(one: object, two: object) -> None:
    assert stands_for(one) != stands_for(two)


def test_what_is_the_same_is_not() -> None:
    assert stands_for(Ask({"b", "a"})) == stands_for(Ask({"a", "b"}))
    assert stands_for(partial(map, Ask(object()))) == stands_for(partial(map, Ask(object())))
    assert " at 0x" not in json.dumps(stands_for(Ask([object(), iter(())])))


def test_plain_settings_have_the_digest_that_they_always_had() -> None:
    config = TaskConfig(task="t", doc_to_text="{{q}}", metric_list=[{"metric": "acc"}], metadata={"v": 1})
    task: Any = SimpleNamespace(config=config, dump_config=config.to_dict)
    assert settings_digest(task) == "1fd882888c4b19cb83a5ad64c9364d30775783b41ff98cccbddce2bfa07b1df5"
