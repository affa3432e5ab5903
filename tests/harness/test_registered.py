"""A task file may name what its own code registers with lm-eval; what nobody registered is one line, before a run."""

import json
import sys
from pathlib import Path

import pytest

from ft_eval.errors import TaskError
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import LoadedTasks, TaskOptions, load_tasks

TASK = """task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: generate_until
test_split: test
doc_to_text: !function own_{name}.text
doc_to_target: "{{{{a}}}}"
filter_list:
- {{name: f, filter: [{{function: strip_{name}}}, {{function: take_first}}]}}
metric_list:
- {{metric: first_{name}, aggregation: mean_{name}, higher_is_better: true}}
- {{metric: exact_match, aggregation: mean_{name}, higher_is_better: true}}
"""
CODE = """from lm_eval.api.filter import Filter
from lm_eval.api.registry import register_aggregation, register_filter, register_metric
@register_aggregation("mean_{name}")
def mean(items):
    return sum(items) / len(items)
@register_metric(metric="first_{name}", higher_is_better=True, aggregation="mean_{name}")
def first(references, predictions, **_):
    return {{"first_{name}": float(references[0][:1] == predictions[0][:1])}}
@register_filter("strip_{name}")
class Strip(Filter):
    def apply(self, resps, docs):
        return [[one.strip() for one in each] for each in resps]
def text(doc):
    return doc["q"]
"""


def load(folder: Path, name: str, old: str = "", new: str = "", code: str = "", asked: str = "") -> LoadedTasks:
    """A task of this name, whose own code registers what it names; each test has a name of its own.

    Args:
        folder: where its files go.
        name: the task's.
        old: what its file has.
        new: what stands there instead.
        code: more of its code.
        asked: what is loaded, where that is not the task itself.
    """
    data = folder / "data.jsonl"
    data.write_text(json.dumps({"q": "1+1=", "a": "2"}) + "\n")
    (folder / f"{name}.yaml").write_text(TASK.format(name=name, data=data).replace(old, new))
    (folder / f"own_{name}.py").write_text(CODE.format(name=name) + code)
    options = TaskOptions(include_paths=(folder,), trust_code=True)
    return load_tasks([asked or name], options, DataSource(offline=True))


def test_what_trusted_code_registers_can_be_named(tmp_path):
    loaded = load(tmp_path, "named")
    task = loaded.tasks["named"]
    assert loaded.specs[0].metric == "first_named/f"
    assert task.process_results({"q": "1+1=", "a": "2"}, [" 2"]) == {"first_named": 0.0, "exact_match": 0.0}
    assert task.aggregation()["exact_match"]([0.0, 1.0]) == 0.5


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("aaa", "mean_aaa", "maen_aaa", "11: an aggregation of metric_list is maen_aaa, expected one of .*mean_aaa"),
        ("bbb", "metric: first_bbb", "metric: fisrt_bbb", "11: the metric fisrt_bbb is none that is .* mean first_bbb"),
        ("ccc", "strip_ccc", "stirp_ccc", "9: Unknown filter 'stirp_ccc'.*strip_ccc[^;]*$"),
    ],
)
def test_what_nobody_registered_is_one_line(tmp_path, monkeypatch, name, old, new, said):
    monkeypatch.setitem(sys.modules, "evaluate", None)  # which lm-eval would look for a metric in, on the network
    with pytest.raises(TaskError, match=rf"{name}.yaml:{said}") as caught:
        load(tmp_path, name, old, new)
    assert "\n" not in str(caught.value)


def test_code_that_registers_and_then_fails_is_told_by_its_own_error(tmp_path):
    with pytest.raises(TaskError, match=r"ddd.yaml:6: !function own_ddd.text can't be had: out of paper$"):
        load(tmp_path, "ddd", code="raise RuntimeError('out of paper')\n")


def test_so_it_is_within_a_group(tmp_path):
    (tmp_path / "group.yaml").write_text("group: pair\ntask: [eee]\n")
    with pytest.raises(TaskError, match=r"eee.yaml:6: !function own_eee.text can't be had: out of ink$"):
        load(tmp_path, "eee", code="raise RuntimeError('out of ink')\n", asked="pair")
