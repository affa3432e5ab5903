"""A task file from elsewhere whose lists, names or patterns have another shape than is meant is named with its line."""

import pytest

from ft_eval.errors import TaskError
from ft_eval.harness.task_limits import check_task_limits

HEAD = "dataset_path: json\n"
METRIC = "metric_list:\n- metric: acc\n"
FILTER = "filter_list:\n- name: a\n  filter:\n  - function: "
BAD = {
    "task 5": ("task: 5\n", "2: task is 5, expected a text; put it in quotes"),
    "task null": ("task: null\n", "2: task is null, expected a text"),
    "task true": ("task: true\n", "2: task is true, expected a text"),
    "task 1.5": ("task: 1.5\n", "2: task is 1.5, expected a text"),
    "group null": ("group: null\ntask: [a]\n", "2: group is null, expected a text"),
    "a member 5": ("group: g\ntask: [a, 5]\n", "3: a member of task is 5, expected a text"),
    "tag": ("task: a\ntag: [1, a]\n", "3: tag is 1, expected a text; put it in quotes"),
    "tag true": ("task: a\ntag: true\n", "3: tag is true, expected a text"),
    "output type null": (
        "output_type: null\n",
        "2: output_type is null, expected one of generate_until, loglikelihood,",
    ),
    "output type": ("output_type: multiple_choise\n", "expected one of .*; did you mean multiple_choice"),
    "no metrics": ("metric_list: []\n", "2: metric_list is an empty list, expected a list of metrics"),
    "empty metrics": ("metric_list: ''\n", "2: metric_list is an empty text, expected a list of metrics"),
    "metric 5": ("metric_list: [5]\n", "2: an item of metric_list is 5, expected a mapping"),
    "no metric": ("metric_list: [{aggregation: mean}]\n", "2: an item of metric_list has no metric"),
    "aggregation 5": (f"{METRIC}  aggregation: 5\n", "4: an aggregation of metric_list is 5, expected a text"),
    "higher": (f"{METRIC}  higher_is_better: maybe\n", "4: higher_is_better of metric_list is maybe, expected true or"),
    "no filters": ("filter_list: []\n", "2: filter_list is an empty list, expected a list of filters"),
    "empty filters": ("filter_list: ''\n", "2: filter_list is an empty text, expected a list of filters"),
    "no name": ("filter_list: [{filter: []}]\n", "2: an item of filter_list has no name"),
    "no filter": ("filter_list: [{name: a}]\n", "2: an item of filter_list has no filter"),
    "function 5": (f"{FILTER}5\n", "5: a function of filter_list is 5, expected a text"),
    "pattern 5": (f"{FILTER}regex\n    regex_pattern: 5\n", "6: a regex_pattern of filter_list is 5, expected a text"),
    "argument": (f"{FILTER}regex\n    foo: 5\n", "6: the filter regex takes no foo, only regex_pattern, group_select"),
    "no argument": (f"{FILTER}take_first\n    k: 5\n", "6: the filter take_first takes no k, only its name"),
    "sample 5": ("fewshot_config:\n  samples: [5]\n", "3: an item of samples of fewshot_config is 5, expected a map"),
    "samples": ("fewshot_config:\n  samples: abc\n", "3: samples of fewshot_config is abc, expected a list of doc"),
    "sampler": ("fewshot_config:\n  sampler: first\n", "3: sampler of .* is first, .*; did you mean first_n"),
    "few-shot key": ("fewshot_config:\n  sample: []\n", "3: fewshot_config has the unknown key sample; did you mean"),
    "few-shot text": ("fewshot_config: abc\n", "2: fewshot_config is abc, expected a mapping"),
    "wanted": ("metadata: {must_match: abc}\n", "2: must_match of metadata is abc, expected a pattern by field"),
    "wanted 5": ("metadata: {must_match: {a: 5}}\n", "2: the pattern of a in must_match is 5, expected a text"),
    "wanted pattern": ("metadata: {must_match: {a: '('}}\n", "2: the pattern of a in must_match can't be used: miss"),
}
GOOD = """task: a
tag: [b, c]
output_type: generate_until
metric_list:
- {metric: !function own.score, aggregation: !function own.mean, higher_is_better: true}
- {metric: exact_match, aggregation: mean, ignore_case: true}
filter_list:
- name: x
  filter:
  - {function: regex, regex_pattern: "a(b)", group_select: -1}
  - {function: take_first_k, k: 2}
  - {function: of_their_own}
  - {function: !function own.filter, foo: 5}
fewshot_config: {sampler: first_n, samples: [{q: a}]}
metadata: {version: 1, must_match: {a: b}}
"""
NOTHING = "task: a\nmetric_list: null\nfilter_list: null\ntag: null\nfewshot_config: {samples: !function own.samples}\n"


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD)
def test_what_has_another_shape_is_named_with_its_line(tmp_path, text, said):
    (tmp_path / "x.yaml").write_text(HEAD + text)
    with pytest.raises(TaskError, match=f"x.yaml:{said if said[0].isdigit() else f'2: .*{said}'}") as caught:
        check_task_limits(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [GOOD, NOTHING, "group: g\ntask: [a, {task: b, num_fewshot: 0}]\n"])
def test_what_lm_eval_takes_passes(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    check_task_limits(tmp_path)
