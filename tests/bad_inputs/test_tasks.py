"""Cases 32 to 50: tasks that are unknown, odd or hostile, and flags and files of configuration that are off."""

import json
from collections.abc import Callable, Sequence

import pytest
import regex

from ft_eval.errors import TaskError
from ft_eval.harness import bounded_filters
from tests.bad_inputs.case import Case, Held, Room, edit_config, run_arguments

CHOICE = ("output_type: multiple_choice", 'doc_to_text: "{{q}}"', "doc_to_target: 0", 'doc_to_choice: "{{[a, q]}}"')
TEXT = ("output_type: generate_until", 'doc_to_text: "{{q}}"', "doc_to_target: a")
LIMITS = "tests/harness/test_task_limits.py::test_what_is_off_is_named_with_its_line"
SHAPES = "tests/harness/test_task_shapes.py::test_what_has_another_shape_is_named_with_its_line"
TEMPLATES = "tests/harness/test_templates.py"
READING = "tests/harness/test_task_files.py::test_a_file_that_cannot_be_read_is_named_with_its_line"


def asking(*more: object, task: str = "toy_mmlu") -> Callable[[Room], Sequence[object]]:
    """A run of a sound checkpoint with these arguments."""
    return lambda room: run_arguments(room.checkpoint(), *more, task=task)


def mine(*lines: str, more: Sequence[object] = ()) -> Callable[[Room], Sequence[object]]:
    """A run of a task of the user's own."""
    return lambda room: run_arguments(room.checkpoint(), *more, task=room.task(*lines, docs=DOCS)[0])


DOCS = [{"q": f"question {n}", "a": str(n)} for n in range(4)]


def toml(text: str) -> Callable[[Room], Sequence[object]]:
    def prepare(room: Room) -> Sequence[object]:
        return ["run", "--checkpoints", room.write("checkpoints.toml", text), "--tasks", "toy_mmlu"]

    return prepare


def config(**changes: object) -> Callable[[Room], Sequence[object]]:
    def prepare(room: Room) -> Sequence[object]:
        folder = room.checkpoint()
        edit_config(folder, **changes)
        return run_arguments(folder)

    return prepare


def raw_config(old: str, new: str) -> Callable[[Room], Sequence[object]]:
    def prepare(room: Room) -> Sequence[object]:
        path = room.checkpoint() / "config.json"
        path.write_text(path.read_text().replace(old, new))
        return run_arguments(path.parent)

    return prepare


def group_of_itself(room: Room) -> Sequence[object]:
    room.write("tasks/a.yaml", "group: a\ntask: [b]\n")
    room.write("tasks/b.yaml", "group: b\ntask: [a]\n")
    return run_arguments(room.checkpoint(), task="a")


def included(*lines: str, more: Sequence[object] = ()) -> Callable[[Room], Sequence[object]]:
    """A run of a task file from a folder of the user's own."""

    def prepare(room: Room) -> Sequence[object]:
        data = room.write("mine.jsonl", "".join(json.dumps(doc) + "\n" for doc in DOCS))
        head = ("task: mine", "dataset_path: json", f"dataset_kwargs: {{data_files: {{test: {data}}}}}")
        file = room.write("own/mine.yaml", "\n".join([*head, "test_split: test", *TEXT, *lines]) + "\n")
        return run_arguments(room.checkpoint(), "--include-path", file.parent, *more, task="mine")

    return prepare


def script(room: Room) -> Sequence[object]:
    """A task file that would run what lies beside it, which leaves a mark."""
    room.write("own/code.py", MARK.format(str(room.work / "ran")))
    return included("process_results: !function code.judge")(room)


MARK = "import pathlib\npathlib.Path({!r}).touch()\n"
FILTERS = "filter_list: [{name: f, filter: [{function: regex, regex_pattern: %s}]}]"
CASES = (
    Case(32, "an unknown task", asking(task="humanevl_plus")),
    Case(33, "no task", asking(task=" , ")),
    Case(35, "a pattern that matches nothing", asking(task="toy_zzz*")),
    Case(36, "a task name that climbs", asking(task="../../etc/passwd")),
    Case(36, "a task name that is a path", asking(task="/etc/passwd")),
    Case(36, "a task name with NUL and escapes", asking(task="a\0b\x1b[31m")),
    Case(36, "a task name of 5,000 letters", asking(task="x" * 5000)),
    Case(38, "a key that stands twice in TOML", toml('[checkpoints.a]\npath = "x"\npath = "y"\n')),
    Case(38, "a key that stands twice in JSON", raw_config('"hidden_size"', '"hidden_size": 16, "hidden_size"')),
    Case(41, "an unknown key in checkpoints.toml", toml('[checkpoints.a]\npth = "x"\n')),
    Case(41, "an unknown latent key in config.json", config(model_type="free_transformer", latent_num_bit=3)),
    Case(42, "a seed of 2^63", asking("--seed", 2**63)),
    Case(42, "a seed of 5,000 digits", asking("--seed", "9" * 5000)),
    Case(42, "a number of 5,000 digits in JSON", raw_config('"hidden_size": 16', f'"hidden_size": {"9" * 5000}')),
    Case(42, "1e400 in JSON", raw_config('"rope_theta": 10000.0', '"rope_theta": 1e400')),
    Case(42, "a whole number of 400 digits in JSON", raw_config("10000.0", "1" + "0" * 400)),
    Case(42, "a margin of 1e400", lambda _room: ["report", "--margin", "1e400"]),
    Case(43, "limit 0", asking("--limit", "0")),
    Case(43, "limit below 0", asking("--limit", "-3")),
    Case(43, "limit 1.5", asking("--limit", "1.5")),
    Case(43, "limit above the number of documents", asking("--limit", "5000", "--dry-run")),
    Case(44, "few-shot count below 0", asking("--num-fewshot", "-1")),
    Case(44, "more few-shots than there are", asking("--num-fewshot", "5000")),
    Case(44, "more few-shots than a pool of the user's", mine(*CHOICE, more=("--num-fewshot", "9"))),
    Case(45, "batch size 0", asking("--batch-size", "0")),
    Case(45, "draws 0", asking("--z-draws", "0")),
    Case(46, "a temperature below 0", mine(*TEXT, "generation_kwargs: {temperature: -1}", more=("--dry-run",))),
    Case(46, "sampling at temperature 0", mine(*TEXT, "generation_kwargs: {temperature: 0, do_sample: true}")),
    Case(46, "top_p above 1", mine(*TEXT, "generation_kwargs: {top_p: 1.5}", more=("--dry-run",))),
    Case(46, "temperature NaN", mine(*TEXT, "generation_kwargs: {temperature: .nan}", more=("--dry-run",))),
    Case(47, "Arabic digits", asking("--num-fewshot", "٣")),
    Case(47, "an underscore among digits", asking("--batch-size", "1_0")),
    Case(47, "full-width digits", asking("--limit", "１２")),
    Case(48, "a misspelt field in a template", mine(*TEXT[:1], 'doc_to_text: "{{qq}}"', "doc_to_target: a")),
    Case(48, "a template that would run code", mine(*TEXT[:1], 'doc_to_text: "{{ cycler.__init__.__globals__ }}"')),
    Case(48, "a template that would fill the memory", mine(*TEXT[:1], "doc_to_text: \"{{ 'a' * 10**9 }}\"")),
    Case(37, "code named by a task file of the user's", script),
    Case(37, "a metric of the user's that would be loaded", included("metric_list: [{metric: ./mine.py}]")),
    Case(49, "a file included by a name of 300 letters", included("include: " + "a" * 300)),
    Case(48, "a filter's pattern that is none", included(FILTERS % "'(a'")),
    Case(39, "an empty list of metrics", included("metric_list: []")),
    Case(39, "a misspelt aggregation", included("metric_list: [{metric: exact_match, aggregation: maen}]")),
    Case(39, "an argument that a filter does not take", included(FILTERS % "a, foo: 5")),
    Case(39, "a pattern that is a number", included(FILTERS % "5")),
    Case(39, "an example that is no document", included("fewshot_config: {samples: [5]}")),
    Case(36, "a folder of task files that is not there", asking("--include-path", "absent")),
    Case(49, "groups that hold each other", group_of_itself),
)
HELD = (
    Held(34, "a task that is given twice", "tests/cli/test_cli.py::test_batch_sizes_and_names_are_parsed"),
    Held(34, "two files with one task's name", READING),
    Held(37, "Python tags in a task file", LIMITS),
    Held(38, "a key that stands twice in YAML", LIMITS),
    Held(39, "words and numbers that YAML reads as something else", LIMITS),
    Held(39, "a task's name that is a number", SHAPES),
    Held(40, "an alias bomb", LIMITS),
    Held(41, "an unknown key in a task file", LIMITS),
    Held(44, "a document among its own few-shots", "test_44_a_document_is_never_its_own_example"),
    Held(45, "k above the number of samples", "tests/cli/test_score.py::test_remarks_are_counted"),
    Held(48, "loops and texts without end in a template", f"{TEMPLATES}::test_a_bomb_is_refused_before_it_goes_off"),
    Held(37, "code that the user trusts", "test_37_code_runs_where_the_user_says_so"),
    Held(48, "a filter's pattern without end", "test_48_a_pattern_is_given_up_and_answers_are_kept"),
    Held(49, "a file that includes itself", READING),
)


def test_44_a_document_is_never_its_own_example(room):
    """Few-shots from the very split that is scored: lm-eval leaves the document out of its own examples."""
    from ft_eval.harness.mirror import DataSource
    from ft_eval.harness.tasks import TaskOptions, load_tasks

    (name,) = room.task(*CHOICE, "fewshot_split: test", docs=DOCS)
    loaded = load_tasks([name], TaskOptions(num_fewshot=3), DataSource(offline=True))
    task = loaded.tasks[name]
    task.build_all_requests(rank=0, world_size=1)
    contexts = {request.args[0] for request in task.instances}
    assert len(contexts) == len(DOCS)
    assert all(context.count(doc["q"]) == 1 for context in contexts for doc in DOCS)


def test_37_code_runs_where_the_user_says_so(room, call):
    arguments = included("process_results: !function code.judge", more=("--trust-task-code", "--dry-run"))(room)
    room.write("own/code.py", MARK.format(str(room.work / "ran")) + "def judge(doc, results):\n    return {}\n")
    code, _, err = call(*arguments)
    assert code == 0, err
    assert (room.work / "ran").exists()


class Endless:
    """A pattern that no answer is short enough for."""

    def findall(self, _text: str, *, timeout: float) -> list[str]:
        raise TimeoutError(f"{timeout} s are over")


def test_48_a_pattern_is_given_up_and_answers_are_kept(room, call, monkeypatch):
    monkeypatch.setattr(regex, "compile", lambda _: Endless())
    run, more = room.inputs / "run", "generation_kwargs: {max_gen_toks: 4}"
    code, out, err = call(*included(FILTERS % "'a+'", more, more=("-o", run))(room))
    assert (code, out) == (2, "")
    assert "the pattern 'a+' of a filter takes more than 5 seconds on one answer; repeat no group that repeats" in err
    (log,) = run.rglob("responses.jsonl")
    assert log.read_bytes().count(b"\n") == 2
    assert not list(run.rglob("result.json"))


def test_48_a_pattern_that_never_ends_is_ended(monkeypatch):
    monkeypatch.setattr(bounded_filters, "MAX_SECONDS", 0.05)
    pattern = bounded_filters.BoundedPattern("mine", ".*?a.*?b.*?c")
    assert pattern.findall("a, b, c") == ["a, b, c"]
    with pytest.raises(TaskError, match=r"takes more than 0\.05 seconds"):
        pattern.findall("ab" * 5000)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_task_or_flag_that_is_off_is_one_line(hold, case):
    hold(case)
