"""What tasks read is known from their files: ours, lm-eval's, groups and tags."""

import json

import pytest
import yaml

from ft_eval.errors import DataError, TaskError
from ft_eval.harness import fetch_needs as module
from ft_eval.harness.fetch_needs import _read, fetch_needs
from ft_eval.harness.task_index import leaves, our_tasks


def test_the_papers_rows_need_what_their_files_name():
    """The slow way round: every task file behind the group, read one by one."""
    index = our_tasks().task_index
    expected: dict[str, set[str | None]] = {}
    for leaf in leaves(index, index["free_transformer"]):
        expected.setdefault(leaf.cfg["dataset_path"], set()).add(leaf.cfg.get("dataset_name"))
    needs = fetch_needs(["free_transformer"])
    assert {need.id: set(need.configs) for need in needs.datasets} == expected
    assert len(expected) == 14
    assert len(expected["cais/mmlu"]) == 57
    assert needs.code_tasks == ("humaneval_plus",)


def test_a_stock_group_needs_what_its_leaves_need():
    """Groups of groups of tags; the index of lm-eval's own keeps no more of them than their files' paths."""
    (mmlu,) = fetch_needs(["mmlu"]).datasets
    (ours,) = fetch_needs(["ft_mmlu_letter"]).datasets
    assert (mmlu.id, set(mmlu.configs)) == (ours.id, set(ours.configs))


def test_stock_tasks_tags_and_ours_can_be_mixed():
    needs = fetch_needs(["arc_easy", "ft_arc_challenge_text", "ai2_arc", "toy_mmlu"])
    (arc,) = needs.datasets
    assert (arc.id, set(arc.configs)) == ("allenai/ai2_arc", {"ARC-Easy", "ARC-Challenge"})
    assert needs.bundled == ("toy_mmlu",)


def test_an_unknown_task_is_named_with_the_nearest():
    with pytest.raises(TaskError, match="unknown task 'ft_gsm8'; did you mean ft_gsm8k"):
        fetch_needs(["ft_gsm8"])


def test_no_task_is_refused():
    with pytest.raises(TaskError, match="no task was named"):
        fetch_needs([])


def test_a_task_whose_code_alone_knows_its_dataset_is_refused():
    with pytest.raises(TaskError, match=r"squadv2 doesn't say in its file which dataset it reads.*by hand"):
        fetch_needs(["squadv2"])


def test_a_tasks_own_files_and_revision_are_heeded():
    read = _read("t", {"dataset_path": "o/n", "dataset_kwargs": {"data_files": {"test": "x.jsonl"}, "revision": "v1"}})
    assert (read.dataset, read.patterns, read.revision) == ("o/n", ("x.jsonl",), "v1")
    assert _read("t", {"dataset_path": "o/n", "dataset_kwargs": {"data_dir": "sub"}}).patterns == ("sub/**",)


def test_local_data_needs_nothing(tmp_path):
    assert _read("t", {"dataset_path": str(tmp_path)}).dataset == ""
    assert _read("t", {"dataset_path": "json", "dataset_kwargs": {"data_files": "x.json"}}).dataset == ""
    with pytest.raises(TaskError, match="reads files by their address"):
        _read("t", {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "https://example.org/x"}}})


@pytest.mark.parametrize("dataset", ["../x", "/etc/x", "a/b/c", "a//b", "o/n\n"])
def test_an_id_that_is_none_is_refused(dataset):
    with pytest.raises(DataError, match="task t"):
        _read("t", {"dataset_path": dataset})


def test_two_revisions_of_one_dataset_do_not_go_into_one_folder(tmp_path, monkeypatch):
    """Task files written here, in a folder of their own."""
    for number in (1, 2):
        task = {"task": f"t{number}", "dataset_path": "o/n", "dataset_kwargs": {"revision": f"v{number}"}}
        (tmp_path / f"t{number}.yaml").write_text(yaml.safe_dump(task | {"output_type": "multiple_choice"}))
    group = {"group": "g", "task": ["t1", {"task": "inline", "dataset_path": "o/other"}]}
    (tmp_path / "g.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(group))))
    from lm_eval.tasks import TaskManager

    monkeypatch.setattr(module, "our_tasks", lambda: TaskManager(include_path=str(tmp_path), include_defaults=False))
    assert [need.id for need in fetch_needs(["g"]).datasets] == ["o/n", "o/other"]
    with pytest.raises(TaskError, match="t1, t2 fix different revisions of o/n"):
        fetch_needs(["t1", "t2"])
