"""Which tasks a group changes is read off its file, whosever it is and whether or not lm-eval's index was kept."""

from pathlib import Path

import lm_eval
import pytest
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import Entry, Kind

from ft_eval.harness import task_index
from ft_eval.harness.foreign_tasks import foreign_index, touched

BENCHMARKS = Path(lm_eval.__file__).parent / "tasks" / "benchmarks"
BUILT = ("arc_challenge", "gsm8k")


def stock_index() -> dict[str, Entry]:
    """lm-eval's benchmarks alone, from the cache where there is one."""
    return task_index._read_cache() or task_index._build_cache()


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval has its benchmarks alone, and the cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(task_index, "_stock_dir", lambda: BENCHMARKS)
    manager = TaskManager(include_path=str(BENCHMARKS), include_defaults=False)
    monkeypatch.setattr(task_index, "TaskManager", lambda **_: manager)


@pytest.fixture
def mine(tmp_path: Path) -> dict[str, Entry]:
    """A group of the user's that names one of lm-eval's, which changes its tasks."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "mine.yaml").write_text("group: mine\ntask: [openllm]\n")
    return dict(foreign_index([folder], {}, trust_code=False))


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", ["mine", "openllm", "t0_eval"])
def test_a_first_run_and_a_later_one_find_the_same(mine: dict[str, Entry], name: str) -> None:
    cold, warm = stock_index(), stock_index()
    assert cold["openllm"].cfg is not None
    assert warm["openllm"].cfg is None
    assert touched({**cold, **mine}, name, BUILT) == touched({**warm, **mine}, name, BUILT) == set(BUILT)


def group(name: str, **cfg: object) -> Entry:
    return Entry(name=name, kind=Kind.GROUP, yaml_path=None, cfg={"group": name, **cfg})


@pytest.mark.parametrize(
    ("cfg", "changes"),
    [
        ({"task": ["a", "plain"], "metadata": {"version": 1}, "tag": ["t"]}, False),
        ({"task": [{"task": "a", "task_alias": "A"}]}, False),
        ({"task": [{"group": "within", "task": ["a"], "aggregate_metric_list": [{"metric": "acc"}]}]}, False),
        ({"task": [{"group": "plain"}]}, False),
        ({"task": ["a", {"task": "b", "num_fewshot": 2}]}, True),
        ({"task": ["a"], "metric_list": [{"metric": "acc"}]}, True),
        ({"task": [{"group": "within", "task": [{"task": "a", "num_fewshot": 2}]}]}, True),
        ({"task": [{"group": "within", "task": ["a"], "num_fewshot": 2}]}, True),
        ({"task": [{"group": "plain", "num_fewshot": 2}]}, True),
        ({"task": [{"group": "changing"}]}, True),
        ({"task": ["changing"]}, True),
        ({"task": [{"task": "not there", "dataset_path": "json"}]}, True),
    ],
)
def test_a_group_that_only_names_its_tasks_leaves_them_as_they_are(cfg: dict[str, object], changes: bool) -> None:
    index = {name: Entry(name=name, kind=Kind.TASK, yaml_path=None) for name in ("a", "b")}
    index |= {"plain": group("plain", task=["b"]), "changing": group("changing", task=["b"], repeats=2)}
    index["g"] = group("g", **cfg)
    assert touched(index, "g", ["a", "b"]) == ({"a", "b"} if changes else set())


def test_stock_groups_of_names_are_left_alone() -> None:
    index = task_index.all_tasks().task_index
    for name in ("mmlu", "mmlu_generative", "blimp_nl", "global_piqa_parallel_cloze", "cabbq", "free_transformer"):
        assert touched(index, name, ["gsm8k"]) == frozenset(), name
