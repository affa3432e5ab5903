"""A stock name means the stock task, and every checkpoint sees the same prompts."""

import pytest

from ft_eval.errors import TaskError
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.names import metric_name
from ft_eval.harness.tasks import TaskOptions, load_tasks, reset_fewshot


@pytest.fixture
def source(data_dir) -> DataSource:
    return DataSource(data_dir=data_dir, offline=True)


def prompts(task, limit):
    reset_fewshot(task)
    task.build_all_requests(limit=limit, rank=0, world_size=1)
    return [request.args[0] for request in task.instances]


def test_a_task_built_twice_asks_the_same(source):
    """gsm8k draws its examples at random per document: the generator must start anew for each checkpoint."""
    task = load_tasks(["gsm8k"], TaskOptions(limit=4), source).tasks["gsm8k"]
    assert prompts(task, 4) == prompts(task, 4)


def test_specs_say_what_a_plan_needs(source):
    loaded = load_tasks(["gsm8k", "arc_easy"], TaskOptions(limit=7), source)
    gsm8k, arc = loaded.specs
    assert (gsm8k.metric, gsm8k.num_fewshot, gsm8k.num_docs, gsm8k.output_type) == (
        "exact_match/strict-match",
        5,
        7,
        "generate_until",
    )
    assert (arc.metric, arc.dataset, arc.num_fewshot) == ("acc", "allenai/ai2_arc/ARC-Easy", 0)


@pytest.mark.parametrize(("limit", "num_docs"), [(None, 500), (0.1, 50), (0.0011, 1), (9999, 500), (3, 3)])
def test_a_limit_counts_documents_or_a_share_of_them(source, limit, num_docs):
    (spec,) = load_tasks(["openbookqa"], TaskOptions(limit=limit), source).specs
    assert spec.num_docs == num_docs


def test_the_digest_changes_with_the_documents_and_the_shots(source):
    digests = {
        load_tasks(["openbookqa"], options, source).specs[0].dataset_digest
        for options in (TaskOptions(limit=3), TaskOptions(limit=4), TaskOptions(limit=3, num_fewshot=2))
    }
    assert len(digests) == 3


def test_a_group_is_its_leaves_with_its_weights(source):
    loaded = load_tasks(["mmlu_stem"], TaskOptions(limit=1, num_fewshot=5), source)
    (group,) = loaded.groups
    assert (group.name, len(group.tasks), group.weight_by_size, group.metric) == ("mmlu_stem", 19, True, "acc")
    assert all(spec.num_fewshot == 5 for spec in loaded.specs)


@pytest.mark.parametrize(
    ("name", "near"), [("gsm8", "gsm8k"), ("humanevl_plus", "humaneval_plus"), ("hellaswg", "hellaswag")]
)
def test_an_unknown_name_comes_with_the_nearest(source, name, near):
    with pytest.raises(TaskError, match=f"unknown task '{name}'; did you mean .*{near}"):
        load_tasks([name], TaskOptions(), source)


def test_no_name_at_all_is_refused(source):
    with pytest.raises(TaskError, match="no task was named"):
        load_tasks([], TaskOptions(), source)


def test_metric_names_leave_lm_evals_form():
    assert [metric_name("acc", "none"), metric_name("exact_match", "strict-match")] == [
        "acc",
        "exact_match/strict-match",
    ]
