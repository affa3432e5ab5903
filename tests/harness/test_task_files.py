"""A task file that can't be used is named with its line: lm-eval leaves it out without a word."""

import os
from pathlib import Path

import pytest

import ft_eval.harness.task_index
from ft_eval.errors import DataError, TaskError
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import TaskOptions, load_tasks, task_names

GOOD = "task: good\ndataset_path: json\noutput_type: generate_until\n"
JSON = "dataset_path: json\ndataset_kwargs:\n  data_files: {test: docs.jsonl}\ntest_split: test\ndoc_to_target: b\n"
READING = {
    "syntax": ("task: bad\ndoc: [\n", "bad.yaml:3: no YAML"),
    "mapping": ("task: x\n  bad: 1\n", "bad.yaml:2: no YAML: mapping values"),
    "a list": ("- a\n", "bad.yaml:1: can't be read: Expected YAML dict"),
    "empty": ("", "bad.yaml:1: can't be read"),
    "no text": ("\x00", "bad.yaml:1: can't be read"),
    "key": ("# a comment\ntsk: bad\n", "bad.yaml:1: has none of the keys task and group; did you mean task"),
    "name": ("# a comment\ntask: [a]\n", r"bad.yaml:2: its name is \['a'\]"),
    "twice": (f"{GOOD}# once more\n", r"good\.yaml:1: the name good is taken by .*/bad\.yaml"),
    "include": ("task: bad\ninclude: nowhere_yaml\n", "bad.yaml:2: includes nowhere_yaml, and there is no file"),
    "cycle": ("task: bad\ninclude: bad.yaml\n", "bad.yaml:1: can't be read: Include cycle"),
    "included": ("task: bad\ninclude: part_yaml\n", "part_yaml:2: no YAML"),
}
BUILDING = {
    "module": ("task: bad\ndoc_to_text: !function nothing.f\n", "bad.yaml:2: !function nothing.f can't be had"),
    "function": ("task: bad\ndoc_to_text: !function os.nothing\n", "bad.yaml:2: !function os.nothing can't be had"),
    "field": (f'task: bad\n{JSON}doc_to_text: "{{{{absent}}}}"\n', "bad.yaml:7: 'absent' is undefined"),
    "comment": (
        f'# about absent\ntask: bad\n{JSON}doc_to_text: "{{{{absent}}}}"\n',
        "bad.yaml:8: 'absent' is undefined",
    ),
    "template": (f'task: bad\n{JSON}doc_to_text: "{{% if %}}"\n', "bad.yaml:1: .*Expected an expression"),
    "output": (f"task: bad\noutput_type: dance\n{JSON}", "bad.yaml:2: Got invalid output_type 'dance'"),
    "metric": (
        f"task: bad\nclass: !function ft_eval.harness.choices.ChoiceTask\n{JSON}metric_list:\n  - metric: acc_norm\n",
        "metric acc_norm: a ChoiceTask has acc, acc_char, acc_completion",
    ),
    "member": ("group: bad\ntask:\n  - good\n  - absent\n", "bad.yaml:4: there is no task or group absent"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder of task files in place of the package's own, in an empty working directory."""
    path = tmp_path / "tasks"
    path.mkdir()
    (path / "good.yaml").write_text(GOOD)
    (path / "part_yaml").write_text("a: 1\n  b: 2\n")
    (tmp_path / "docs.jsonl").write_text('{"a": "x", "b": "y"}\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(ft_eval.harness.task_index, "tasks_dir", lambda: path)
    return path


@pytest.mark.parametrize(("text", "message"), READING.values(), ids=READING)
def test_a_file_that_cannot_be_read_is_named_with_its_line(folder, text, message):
    (folder / "bad.yaml").write_text(text)
    with pytest.raises(TaskError, match=message) as caught:
        task_names(ours_only=True)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(("text", "message"), BUILDING.values(), ids=BUILDING)
def test_a_task_that_cannot_be_built_is_named_with_file_and_line(folder, text, message):
    (folder / "bad.yaml").write_text(text)
    with pytest.raises(TaskError, match=message) as caught:
        load_tasks(["bad"], TaskOptions(), DataSource(offline=True))
    assert "\n" not in str(caught.value)


def test_in_a_group_the_task_at_fault_is_named(folder):
    (folder / "bad.yaml").write_text("task: bad\ndoc_to_text: !function nothing.f\n")
    (folder / "all.yaml").write_text("group: all\ntask: [bad]\n")
    with pytest.raises(TaskError, match=r"task bad can't be built: .*bad\.yaml:2"):
        load_tasks(["all"], TaskOptions(), DataSource(offline=True))


def test_data_that_is_not_at_hand_is_not_the_files_fault(folder):
    (folder / "bad.yaml").write_text("task: bad\ndataset_path: org/name\ntest_split: test\n")
    (folder / "all.yaml").write_text("group: all\ntask: [bad]\n")
    with pytest.raises(DataError, match="dataset org/name is not at hand"):
        load_tasks(["all"], TaskOptions(), DataSource(offline=True))


def test_files_that_can_be_read_are_listed(folder):
    assert list(task_names(ours_only=True)) == ["good"]
