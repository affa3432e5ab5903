"""Task files of the user's own are used as they are, and none of them runs code that was not trusted."""

import json
from pathlib import Path

import pytest

from ft_eval.errors import TaskError, UsageError
from ft_eval.harness.bounded_filters import BoundedPattern
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.task_files import code_faults
from ft_eval.harness.tasks import LoadedTasks, TaskOptions, load_tasks

PLAIN = """
task: my_sums
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
output_type: generate_until
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
num_fewshot: 0
generation_kwargs:
  until: ["\\n"]
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
"""
WITNESS = (
    "from pathlib import Path\nPath(__file__).with_name('ran').touch()\ndef score(doc, results):\n    return {'x': 1}\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one plain task on two documents, and a module that leaves a trace when it is run."""
    found = tmp_path / "tasks"
    found.mkdir()
    data = tmp_path / "sums.jsonl"
    data.write_text("".join(json.dumps({"question": f"{n}+{n}=", "answer": str(2 * n)}) + "\n" for n in (1, 2)))
    (found / "my_sums.yaml").write_text(PLAIN.format(data=data))
    (found / "utils.py").write_text(WITNESS)
    return found


def load(folder: Path, *names: str, trust_code: bool = False) -> LoadedTasks:
    options = TaskOptions(include_paths=(folder,), trust_code=trust_code)
    return load_tasks(names or ("my_sums",), options, DataSource(offline=True))


def test_a_plain_task_is_used(folder: Path) -> None:
    loaded = load(folder)
    assert [(spec.name, spec.metric, spec.num_docs) for spec in loaded.specs] == [("my_sums", "exact_match", 2)]
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("line", "place", "said"),
    [
        ("process_results: !function utils.score\n", 19, "!function utils.score names code to be run"),
        ("process_results: !<!function> utils.score\n", 19, "!function utils.score names code to be run"),
        ("class: !function utils.score\n", 19, "!function utils.score names code to be run"),
        ("a: &a [!function utils.score]\nb: *a\n", 19, "!function utils.score names code to be run"),
        ("x: !!python/name:os.system ''\n", 19, "names code to be run"),
    ],
)
def test_code_is_refused_by_file_and_line_and_not_run(folder: Path, line: str, place: int, said: str) -> None:
    file = folder / "my_sums.yaml"
    file.write_text(file.read_text().lstrip("\n") + line)
    with pytest.raises(TaskError) as caught:
        load(folder)
    assert f"my_sums.yaml:{place}: " in str(caught.value)
    assert said in str(caught.value)
    assert "--trust-task-code" in str(caught.value)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("metric: exact_match", "metric: ./evil", "the metric ./evil is none of lm-eval's"),
        ("metric: exact_match", "metric: bleu\n    hf_evaluate: true", "hf_evaluate loads the metric bleu as a script"),
    ],
)
def test_a_metric_that_would_be_a_script_is_refused(folder: Path, before: str, after: str, said: str) -> None:
    file = folder / "my_sums.yaml"
    file.write_text(file.read_text().replace(before, after))
    with pytest.raises(TaskError, match=said):
        load(folder)


@pytest.mark.parametrize("include", ["include: hidden\n", "include: [hidden]\n"])
def test_code_in_an_included_file_is_refused(folder: Path, include: str) -> None:
    (folder / "hidden").write_text("process_results: !function utils.score\n")
    file = folder / "my_sums.yaml"
    file.write_text(include + file.read_text().lstrip("\n"))
    with pytest.raises(TaskError, match=r"hidden:1: !function utils.score names code to be run"):
        load(folder)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("judged", ["", "    process_results: null\n", "    process_results: x\n"])
def test_a_metric_within_a_group_is_looked_at_like_any_other(folder: Path, judged: str) -> None:
    text = "group: g\ntask:\n  - task: my_sums\n    metric_list: [{metric: ./evil}]\n" + judged
    (folder / "group.yaml").write_text(text)
    with pytest.raises(TaskError, match=r"group.yaml:4: the metric ./evil is none of lm-eval's"):
        load(folder, "g")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_code_is_found_in_any_encoding_that_yaml_has(folder: Path, encoding: str) -> None:
    file = folder / "my_sums.yaml"
    text = file.read_text().lstrip("\n") + "process_results: !function utils.score\n"
    file.write_bytes(text.encode(encoding))
    with pytest.raises(TaskError, match=r"my_sums.yaml:19: !function utils.score names code to be run"):
        load(folder)
    assert not (folder / "ran").exists()


def test_code_that_is_trusted_is_run(folder: Path) -> None:
    file = folder / "my_sums.yaml"
    text = file.read_text().replace("metric: exact_match", "metric: x")
    file.write_text(text + "process_results: !function utils.score\n")
    assert load(folder, trust_code=True).specs[0].metric == "x"
    assert (folder / "ran").exists()


def test_a_file_of_lm_evals_own_may_be_included(folder: Path, data_dir: Path) -> None:
    import lm_eval

    stock = Path(lm_eval.__file__).parent / "tasks" / "gsm8k" / "gsm8k.yaml"
    (folder / "mine.yaml").write_text(f"include: {stock}\ntask: my_gsm8k\ntag: []\nnum_fewshot: 1\n")
    options = TaskOptions(include_paths=(folder,), limit=1)
    loaded = load_tasks(["my_gsm8k"], options, DataSource(data_dir=data_dir, offline=True))
    assert loaded.specs[0].num_fewshot == 1


def test_a_name_of_ours_can_not_be_taken_over(folder: Path) -> None:
    file = folder / "my_sums.yaml"
    file.write_text(file.read_text().replace("my_sums", "humaneval_plus"))
    with pytest.raises(TaskError, match=r"my_sums.yaml:1: the name humaneval_plus is one of ft-eval's own"):
        load(folder)


def test_a_file_that_is_no_yaml_is_named_with_its_line(folder: Path) -> None:
    (folder / "bad.yaml").write_text("task: bad\n  oops: [\n")
    with pytest.raises(TaskError, match=r"bad.yaml:\d: no YAML"):
        load(folder)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--include-path .*nowhere: there is no such folder"):
        load(tmp_path / "nowhere")


def test_a_group_of_the_users_may_hold_stock_tasks(folder: Path, data_dir: Path) -> None:
    (folder / "group.yaml").write_text("group: mine\ntask: [my_sums, openbookqa]\nmetadata:\n  version: 1.0\n")
    options = TaskOptions(include_paths=(folder,), limit=1)
    loaded = load_tasks(["mine"], options, DataSource(data_dir=data_dir, offline=True))
    assert [spec.name for spec in loaded.specs] == ["my_sums", "openbookqa"]


def test_a_task_that_a_group_changes_is_another_job(folder: Path) -> None:
    (folder / "group.yaml").write_text(
        "group: changed\ntask:\n- task: toy_gsm8k\n  generation_kwargs: {until: [x], max_gen_toks: 9}\n"
    )
    assert load(folder, "toy_gsm8k").specs[0].settings_digest == ""
    assert len(load(folder, "changed").specs[0].settings_digest) == 64
    (folder / "group.yaml").write_text("group: changed\ntask: [toy_gsm8k]\nmetadata: {version: 1}\n")
    assert load(folder, "changed").specs[0].settings_digest == ""
    (folder / "group.yaml").write_text("group: changed\ntask: [toy_gsm8k]\ndescription: Look.\n")
    assert len(load(folder, "changed").specs[0].settings_digest) == 64


def test_so_is_one_that_stands_within_a_group_and_its_patterns_are_bounded(folder: Path) -> None:
    inner = "".join(f"  {line}\n" for line in (folder / "my_sums.yaml").read_text().strip().splitlines())
    inner = inner.replace("my_sums", "within").replace("  task:", "- task:", 1)
    steps = "[{function: regex, regex_pattern: '(a+)+$'}, {function: take_first}]"
    inner += f"  filter_list: [{{name: f, filter: {steps}}}]\n"
    (folder / "group.yaml").write_text(f"group: g\ntask:\n{inner}")
    loaded = load(folder, "g")
    assert [(spec.name, len(spec.settings_digest)) for spec in loaded.specs] == [("g::within", 64)]
    made = loaded.tasks["g::within"]._filters[0].filters[0]()
    assert isinstance(made.regex, BoundedPattern)


@pytest.mark.parametrize("names", [("my_sums", "g"), ("g", "my_sums")])
def test_one_task_in_two_kinds_is_refused(folder: Path, names: tuple[str, str]) -> None:
    (folder / "group.yaml").write_text("group: g\ntask:\n- task: my_sums\n  doc_to_text: 'Q: {{question}}'\n")
    with pytest.raises(TaskError, match=f"--tasks {names[1]}: it has the task my_sums with other settings than"):
        load(folder, *names)


def test_one_task_by_two_names_is_asked_once(folder: Path) -> None:
    (folder / "group.yaml").write_text("group: g\ntask: [my_sums]\n")
    assert [spec.name for spec in load(folder, "my_sums", "g").specs] == ["my_sums"]


@pytest.mark.parametrize("key", ["doc_to_text", "process_docs"])
def test_code_that_fails_while_a_task_is_built_is_named_with_its_line(folder: Path, key: str) -> None:
    file = folder / "my_sums.yaml"
    kept = "".join(line for line in file.read_text().splitlines(keepends=True) if not line.startswith(key))
    file.write_text(f"{kept}{key}: !function utils.ask\n")
    (folder / "utils.py").write_text("def ask(doc):\n    raise ArithmeticError('too hard')\n")
    with pytest.raises(TaskError, match=r"my_sums can't be built: .*utils.py:2: ArithmeticError: too hard$"):
        load(folder, trust_code=True)


def test_code_that_fails_later_is_named_with_its_line_and_what_others_raise_is_not(folder: Path) -> None:
    file = folder / "my_sums.yaml"
    file.write_text(file.read_text() + "process_results: !function utils.score\n")
    (folder / "utils.py").write_text("def score(doc, results):\n    return {'exact_match': absent}\n")
    task = load(folder, trust_code=True).tasks["my_sums"]
    with (
        pytest.raises(TaskError, match=r"^task mine: .*utils.py:2: NameError: name 'absent' is not"),
        code_faults("mine"),
    ):
        task.process_results({}, [])
    with pytest.raises(ZeroDivisionError), code_faults("mine"):
        _ = 1 / 0


def test_a_direction_that_nobody_gave_is_up_and_told(folder: Path) -> None:
    file = folder / "my_sums.yaml"
    text = file.read_text().replace("metric: exact_match", "metric: x").replace("    higher_is_better: true\n", "")
    file.write_text(text + "process_results: !function utils.score\n")
    loaded = load(folder, trust_code=True)
    assert loaded.specs[0].higher_is_better
    assert "task my_sums doesn't say whether more of x is better; it is taken to be" in loaded.remarks


def test_a_metric_without_an_aggregation_is_told_so(folder: Path) -> None:
    file = folder / "my_sums.yaml"
    text = file.read_text().replace("metric: exact_match", "metric: x").replace("    aggregation: mean\n", "")
    file.write_text(text + "process_results: !function utils.score\n")
    with pytest.raises(
        TaskError, match=r"my_sums.yaml:14: a metric of 'metric_list' has no aggregation, and none"
    ) as told:
        load(folder, trust_code=True)
    assert "columns" not in str(told.value)
