"""A group's score is of its first aggregation: that metric, with those weights, as lm-eval has it."""

import json

import pytest

from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import TaskOptions, load_tasks

TASK = """task: {name}
tag: [both]
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{q}}}}"
doc_to_choice: [a, bb]
doc_to_target: a
metric_list:
- {{metric: acc, aggregation: mean, higher_is_better: true}}
{more}
"""
NORM = "- {metric: acc_norm, aggregation: mean, higher_is_better: true}"


@pytest.fixture
def load(tmp_path):
    """Builds the group `g` of two tasks, of which the second may have one metric less."""
    data = tmp_path / "docs.jsonl"
    data.write_text(json.dumps({"q": "?", "a": "a"}) + "\n")

    def build(group: str, second: str = NORM):
        for name, more in (("one", NORM), ("two", second)):
            (tmp_path / f"{name}.yaml").write_text(TASK.format(name=name, data=data, more=more))
        (tmp_path / "g.yaml").write_text(f"group: g\ntask: [both]\naggregate_metric_list:\n{group}")
        return load_tasks(["g"], TaskOptions(include_paths=(tmp_path,)), DataSource(offline=True))

    return build


@pytest.mark.parametrize(
    ("aggregations", "metric", "weight_by_size"),
    [
        ("- {metric: acc_norm, weight_by_size: false}\n- {metric: acc, weight_by_size: true}\n", "acc_norm", False),
        ("- {metric: acc, weight_by_size: true}\n- {metric: acc_norm, weight_by_size: false}\n", "acc", True),
        ("- {metric: acc_norm, filter_list: [none]}\n", "acc_norm", True),
        ("- {metric: f1, weight_by_size: false}\n", "acc", False),
    ],
)
def test_metric_and_weights_are_of_one_aggregation(load, aggregations, metric, weight_by_size):
    loaded = load(aggregations)
    assert [(one.metric, one.weight_by_size) for one in loaded.groups] == [(metric, weight_by_size)]
    assert loaded.remarks == ()


def test_a_task_that_lacks_the_groups_metric_is_told(load):
    loaded = load("- {metric: acc_norm}\n", second="")
    assert loaded.groups[0].metric == "acc_norm"
    assert loaded.remarks == ("group g is scored by acc_norm, which two of its 2 tasks lack",)
