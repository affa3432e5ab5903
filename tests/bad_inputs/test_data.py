"""Cases 50 to 60: documents that are missing, damaged, changed or hostile."""

import gzip
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ft_eval.cli.main import cli
from ft_eval.errors import DataError
from ft_eval.harness import code_lines, mirror
from ft_eval.harness.manifest import Manifest, MirroredFile, MirroredRepository, write_manifest
from ft_eval.harness.mirror import DataSource, redirected_datasets
from ft_eval.harness.tasks import TaskOptions, load_tasks
from tests.bad_inputs.case import Case, Held, Room, run_arguments

CHOICE = ("output_type: multiple_choice", 'doc_to_text: "{{q}}"', "doc_to_target: g", 'doc_to_choice: "{{c}}"')
TEXT = ("output_type: generate_until", 'doc_to_text: "{{q}}"', "doc_to_target: a")
DOCS = tuple({"q": f"question {n}", "c": ["a", "b"], "g": 0, "a": "x"} for n in range(4))
GOOD = "".join(json.dumps(doc) + "\n" for doc in DOCS)
SAMPLE = {"task_id": "Tiny/0", "completion": "    return x\n"}
FEWSHOT = "fewshot_config: {sampler: first_n, samples: [{q: question 0, c: [a, b], g: 0, a: x}]}"


def mine(
    *lines: str, docs: Sequence[object] = DOCS, more: Sequence[object] = ("--dry-run",)
) -> Callable[[Room], Sequence[object]]:
    """A run of a task of the user's over these documents."""
    return lambda room: run_arguments(room.checkpoint(), *more, task=room.task(*lines, docs=docs)[0])


def with_doc(**changes: object) -> Callable[[Room], Sequence[object]]:
    """A run of choices in which the second document is another one."""
    return mine(*CHOICE, docs=[DOCS[0], {**DOCS[1], **changes}, *DOCS[2:]])


def with_file(content: str | bytes | None) -> Callable[[Room], Sequence[object]]:
    """A run of a task over a file with this content, or none."""

    def prepare(room: Room) -> Sequence[object]:
        arguments = mine(*CHOICE)(room)
        room.write("mine.jsonl", content or b"")
        if content is None:
            (room.inputs / "mine.jsonl").unlink()
        return arguments

    return prepare


def another_version(room: Room) -> Sequence[object]:
    """The run of a task's first version goes on with its second."""
    task, run = room.task(*TEXT, "metadata: {version: 1}", docs=DOCS)[0], room.inputs / "run"
    arguments = run_arguments(room.checkpoint(), "-o", run, task=task)
    cli(args=[str(argument) for argument in (*arguments, "--quiet")], standalone_mode=False)
    room.task(*TEXT, "metadata: {version: 2}", docs=DOCS)
    return arguments


def mirrored(spoil: Callable[[Path], object]) -> Callable[[Room], Sequence[object]]:
    """A run over a mirror with a manifest, one file of which is spoilt afterwards."""

    def prepare(room: Room) -> Sequence[object]:
        file = room.write("data/org/name/test.jsonl", GOOD)
        listed = MirroredFile(path="test.jsonl", num_bytes=len(GOOD), sha256=hashlib.sha256(GOOD.encode()).hexdigest())
        repository = MirroredRepository(id="org/name", revision="a" * 40, source="here", rows={}, files=(listed,))
        write_manifest(room.inputs / "data", Manifest(repositories=(repository,)))
        room.write("tasks/mine.yaml", "\n".join(["task: mine", "dataset_path: org/name", "test_split: test", *CHOICE]))
        spoil(file)
        return run_arguments(room.checkpoint(), "--data-dir", room.inputs / "data", "--dry-run", task="mine")

    return prepare


def race(task: str, *rows: Mapping[str, object]) -> Callable[[Room], Sequence[object]]:
    """A run of RACE over a mirror with these documents, which say what is different in them."""

    def prepare(room: Room) -> Sequence[object]:
        room.write("data/ehovy/race/test.jsonl", "".join(json.dumps({**RACE, **row}) + "\n" for row in rows))
        files = "- config_name: high\n  data_files:\n  - {split: test, path: test.jsonl}\n"
        room.write("data/ehovy/race/README.md", f"---\nconfigs:\n{files}---\n")
        return run_arguments(room.checkpoint(), "--data-dir", room.inputs / "data", task=task)

    return prepare


RACE = {"article": "Ann has a dog.", "question": "Who?", "options": ["Ann", "Bob", "x", "y"], "answer": "A"}


def score(problem: Mapping[str, object]) -> Callable[[Room], Sequence[object]]:
    """`ft-eval score` of a sample against a problem of the user's."""

    def prepare(room: Room) -> Sequence[object]:
        problems = room.write("problems.jsonl", json.dumps({**PROBLEM, **problem}) + "\n")
        samples = room.write("samples.jsonl", json.dumps({"task_id": "HumanEval/0", "completion": "    return x\n"}))
        return ["score", samples, "--task", "humaneval_plus", "--problems", problems, "--offline"]

    return prepare


PROBLEM = {
    "task_id": "HumanEval/0",
    "prompt": "def f(x):\n",
    "entry_point": "f",
    "canonical_solution": "    return x\n",
    "base_input": [[1]],
    "plus_input": [],
    "atol": 0,
    "contract": "",
}

CASES = (
    Case(50, "another version of a task in one run", another_version),
    Case(51, "a split without documents", with_file("\n")),
    Case(52, "a split that is not there", mine(*CHOICE, "fewshot_split: train")),
    Case(52, "a column that is not there", mine(CHOICE[0], 'doc_to_text: "{{question}}"', *CHOICE[2:])),
    Case(52, "a column's name that is none", mine(CHOICE[0], "doc_to_text: question", *CHOICE[2:])),
    Case(52, "choices from a column that is not there", mine(*CHOICE[:3], "doc_to_choice: cc")),
    Case(53, "a value that is missing", with_doc(q=None)),
    Case(53, "no choices", with_doc(c=[])),
    Case(53, "a choice that is no text", with_doc(c=["a", None])),
    Case(53, "an answer beyond the choices", with_doc(g=7)),
    Case(53, "an answer below the choices", with_doc(g=-1)),
    Case(53, "no answer", with_doc(g=None)),
    Case(53, "an answer that is no choice", mine(*CHOICE, docs=[{**doc, "g": "z"} for doc in DOCS])),
    Case(53, "an answer of RACE that is no letter", race("ft_race_high_text", {}, {"answer": "AB"})),
    Case(53, "an answer of RACE that is empty, in the first document", race("ft_race_high_text", {"answer": ""}, {})),
    Case(53, "options of RACE that are missing", race("ft_race_high_text", {}, {"options": None})),
    Case(
        53,
        "an answer of RACE beyond its options",
        race("ft_race_high_letter", {}, {"answer": "D", "options": list("abc")}),
    ),
    Case(
        53,
        "a prompt that can't be made of a document",
        mine(
            TEXT[0],
            "doc_to_text: '{% for one in c %}{{one}}{% endfor %}'",
            TEXT[2],
            docs=[DOCS[0], {**DOCS[1], "c": None}],
        ),
    ),
    Case(
        53,
        "an answer that no completion can equal",
        mine(
            *TEXT,
            "metadata: {must_match: {a: '#### [0-9]'}}",
            docs=[{**DOCS[0], "a": "#### 1"}, {**DOCS[1], "a": "none"}],
        ),
    ),
    Case(53, "one choice twice", with_doc(c=["a", "a"])),
    Case(55, "a file of a mirror that was changed", mirrored(lambda file: file.write_text(GOOD.replace("3", "9")))),
    Case(55, "a file of a mirror that was cut", mirrored(lambda file: file.write_text(GOOD[:-1]))),
    Case(55, "a file of a mirror that is gone", mirrored(lambda file: file.unlink())),
    Case(56, "a line that is no JSON", with_file(GOOD + '{"q": \n')),
    Case(56, "a line that is no object", with_file(GOOD + "7\n")),
    Case(56, "a key that stands twice in a line", with_file('{"q": "a", "q": "b", "c": ["a", "b"], "g": 0}\n')),
    Case(56, "Latin-1", with_file(GOOD.replace("question 1", "\u00e9").encode("latin1"))),
    Case(56, "UTF-16", with_file(GOOD.encode("utf-16"))),
    Case(57, "a file that is not there", with_file(None)),
    Case(58, "offline and not at hand", lambda room: run_arguments(room.checkpoint(), task="gsm8k")),
    Case(59, "an entry point that the solution has not", score({"entry_point": "g"})),
    Case(59, "an expected value that can't be sent", score({"canonical_solution": "    return object()\n"})),
    Case(60, "a few-shot example that is scored too", mine(*CHOICE, FEWSHOT, more=("--num-fewshot", "1", "--dry-run"))),
)
FAULTS = "tests/harness/test_dataset_faults.py"
HELD = (
    Held(51, "a parquet file without rows", f"{FAULTS}::test_a_parquet_file_without_rows_is_named"),
    Held(56, "a dataset's file in Latin-1", f"{FAULTS}::test_a_file_in_latin_1_is_named_and_not_the_task"),
    Held(56, "a dataset's card that is no YAML", f"{FAULTS}::test_a_card_that_is_no_yaml_is_named"),
    Held(56, "a dataset that is a script", f"{FAULTS}::test_a_loading_script_is_named_as_what_it_is"),
    Held(
        50,
        "two versions of a task in one report",
        "tests/report/test_unpaired.py::test_one_task_in_two_forms_is_refused_by_name_unless_asked_for",
    ),
    Held(53, "more choices than letters", "test_53_choices_are_not_counted_by_letters"),
    Held(54, "one document twice", "tests/report/test_pairing.py::test_twins_pair_once_each"),
    Held(54, "one problem twice", "tests/harness/test_code_data.py::test_a_broken_file_is_named_with_its_line"),
    Held(
        55,
        "a released file that was changed",
        "tests/harness/test_fetch_release.py::test_a_release_file_with_another_digest_is_refused",
    ),
    Held(56, "a byte order mark, CRLF, and one array", "test_56_a_mark_and_other_line_ends_are_read"),
    Held(56, "a line of completions that is off", "test_56_a_line_that_is_off_is_one_kind_of_error"),
    Held(57, "a gzip bomb", "test_57_a_gzip_bomb_is_refused_at_its_bound"),
    Held(57, "a parquet bomb", "test_57_a_parquet_file_that_claims_too_much_is_refused_by_its_footer"),
    Held(
        58,
        "a hub that does not answer",
        "tests/harness/test_fetch_hub.py::test_a_hub_that_never_answers_is_given_up",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_documents_that_are_off_are_one_line(hold, case):
    hold(case)


def loaded(room: Room, *lines: str, docs: Sequence[object] = DOCS) -> Any:
    (name,) = room.task(*lines, docs=docs)
    return load_tasks([name], TaskOptions(), DataSource(offline=True))


def test_53_choices_are_not_counted_by_letters(room):
    many = [f"option {n}" for n in range(40)]
    assert loaded(room, *CHOICE, docs=[{**doc, "c": many, "g": 39} for doc in DOCS]).remarks == ()


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.replace("\n", "\r\n").encode(), json.dumps(DOCS).encode()],
    ids=["mark", "crlf", "array"],
)
def test_56_a_mark_and_other_line_ends_are_read(room, tmp_path, content):
    (name,) = room.task(*CHOICE)
    room.write("mine.jsonl", content)
    found = load_tasks([name], TaskOptions(), DataSource(offline=True))
    assert [doc["q"] for doc in found.tasks[name].eval_docs] == [doc["q"] for doc in DOCS]
    (tmp_path / "x.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(SAMPLE).encode() + b'\r\n{"a": 1}\r\n')
    lines = code_lines.read_lines(tmp_path / "x.jsonl", "")
    assert [code_lines.parse_line(line) for _, line in lines] == [SAMPLE, {"a": 1}]


def test_57_a_gzip_bomb_is_refused_at_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_lines, "MAX_BYTES", 10**6)
    (tmp_path / "x.jsonl").write_bytes(gzip.compress(b"0" * 10**7))
    with pytest.raises(DataError, match=r"x.jsonl can't be read .more than 1000000 bytes unpacked."):
        code_lines.read_lines(tmp_path / "x.jsonl", "")
    (tmp_path / "y.jsonl").write_bytes(b"0" * 10**6)
    assert len(code_lines.read_lines(tmp_path / "y.jsonl", "")) == 1


def test_57_a_parquet_file_that_claims_too_much_is_refused_by_its_footer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "MAX_ROWS", 10**5)
    folder = tmp_path / "org" / "name"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"a": ["x"] * 200_000}), folder / "test-00000.parquet")
    assert (folder / "test-00000.parquet").stat().st_size < 10_000
    import datasets

    with (
        redirected_datasets(DataSource(data_dir=tmp_path, offline=True)),
        pytest.raises(DataError, match=r"claims 200000 rows of \d+ bytes, and a benchmark has at most 100000"),
    ):
        datasets.load_dataset("org/name")


@pytest.mark.parametrize("line", ['{"a": 1, "a": 2}', "[" * 5000, '{"a": ' + "9" * 5000 + "}", "{"])
def test_56_a_line_that_is_off_is_one_kind_of_error(line):
    with pytest.raises(ValueError, match=r"twice|deep|digits|Expecting"):
        code_lines.parse_line(line)
