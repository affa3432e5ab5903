"""`ft-eval tasks`, and task files of a user's own on the command line."""

import json
import os
from pathlib import Path

import pytest

from ft_eval.errors import SandboxError
from ft_eval.sandbox.sandbox import Sandbox
from tests.fakes import caller, write_checkpoint


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run the command line in an empty folder; gives its exit code, stdout and stderr."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return caller(capsys)


def test_where_names_the_file_of_ours_and_of_lm_evals(call):
    for name in ("toy_humaneval", "gsm8k"):
        code, out, _ = call("tasks", name, "--where")
        assert (code, Path(out.strip()).name, Path(out.strip()).is_file()) == (0, f"{name}.yaml", True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--where",), "--where needs the name of a task"),
        (("gsm8", "--where"), "unknown task 'gsm8'; did you mean gsm8k"),
        (("mmlu_stem_tasks", "--where"), "is a tag"),
    ],
)
def test_where_without_a_file_to_name_is_one_line(call, arguments, message):
    code, out, err = call("tasks", *arguments)
    assert (code, out, message in err) == (2, "", True), err


def test_a_file_with_repeats_made_from_one_of_ours_judges_each_sample(call, tmp_path):
    try:
        with Sandbox():
            pass
    except SandboxError as error:
        pytest.skip(f"no sandbox here: {error}")
    _, where, _ = call("tasks", "toy_humaneval", "--where")
    Path("mine").mkdir()
    Path("mine", "three.yaml").write_text(
        f"include: {where.strip()}\ntask: three\nrepeats: 3\n"
        "generation_kwargs: {until: ['\\n'], do_sample: true, temperature: 1.0, max_gen_toks: 8}\n"
    )
    model = write_checkpoint(tmp_path / "base", max_length=128)
    asked = ("run", "--ckpt", model, "--tasks", "three", "--include-path", "mine", "--limit", "2", "--offline", "-o")
    code, _, err = call(*asked, "out")
    assert code == 0, err
    (job,) = Path("out", "jobs").iterdir()
    samples = [json.loads(line) for line in (job / "samples.jsonl").read_text().splitlines()]
    assert [(one["doc_id"], one["draw"]) for one in samples] == [(doc, draw) for doc in (0, 1) for draw in (0, 1, 2)]
    assert len({tuple(one["responses"]) for one in samples}) == 6
    assert all("base" in one["details"] for one in samples)
    metrics = json.loads((job / "result.json").read_text())["result"]["metrics"]
    assert set(metrics) == {"pass@1", "pass@2", "pass@3"}


CARD = """---
configs:
- config_name: default
  data_files:
  - split: validation
    path: validation.jsonl
  - split: train
    path: validation.jsonl
---
"""
ROW = {"goal": "a", "sol1": "b", "sol2": "c", "label": 0}


def piqa(rows: list[dict[str, object]]) -> None:
    """A mirror with PIQA of these rows."""
    folder = Path("mirror", "baber", "piqa")
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    (folder / "validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def without(column: str) -> dict[str, object]:
    return {name: value for name, value in ROW.items() if name != column}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([without("sol1")], "ft_piqa_text.yaml:6: 'sol1' is undefined"),
        ([without("goal")], "'goal' is undefined"),
        ([without("label")], "ft_piqa_text.yaml:5: the documents have no column 'label'"),
        ([], "validation.jsonl: there is no document in it"),
    ],
    ids=["a choice", "the question", "the answer", "all rows"],
)
def test_what_a_dataset_lacks_is_one_line_and_nothing_is_written(call, tmp_path, rows, message):
    piqa(rows)
    model = write_checkpoint(tmp_path / "base", max_length=128)
    asked = ("run", "--ckpt", model, "--tasks", "ft_piqa_text", "--data-dir", "mirror", "--offline", "-o", "out")
    code, _, err = call(*asked)
    assert (code, err.count("\n"), message in err) == (2, 1, True), err
    assert not Path("out").exists()


FILES = {
    "no YAML": ("task: a\n  bad: [\n", "mine/a.yaml:2: no YAML"),
    "code": ("task: a\nprocess_results: !function utils.f\n", "mine/a.yaml:2: !function utils.f names code to be run"),
}


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES)
def test_a_file_that_is_off_is_named_with_its_line_and_no_code_is_run(call, tmp_path, text, message):
    Path("mine").mkdir()
    Path("mine", "a.yaml").write_text(text)
    Path("mine", "utils.py").write_text("from pathlib import Path\nPath('ran').touch()\nf = None\n")
    model = write_checkpoint(tmp_path / "base", max_length=128)
    asked = ("run", "--ckpt", model, "--tasks", "a", "--include-path", "mine", "--offline", "-o", "out")
    code, _, err = call(*asked)
    assert (code, err.count("\n"), message in err) == (2, 1, True), err
    assert not Path("out").exists()
    assert not Path("ran").exists()


SANDBOXES = {
    "docker": ("docker", "docker"),
    "none, not allowed": ("none", "pass --allow-unsafe-code too"),
    "unknown": ("ns2", "did you mean ns?"),
}


@pytest.mark.parametrize(("tier", "message"), SANDBOXES.values(), ids=SANDBOXES)
def test_without_the_sandbox_that_was_asked_for_nothing_begins(call, tmp_path, monkeypatch, tier, message):
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path))
    model = write_checkpoint(tmp_path / "base", max_length=128)
    asked = ("run", "--ckpt", model, "--tasks", "toy_humaneval", "--sandbox", tier, "--offline", "-o", "out")
    code, _, err = call(*asked)
    assert (code, err.count("\n"), message in err) == (2, 1, True), err
    assert not Path("out").exists()


def test_a_pattern_that_no_name_has_is_said(call):
    code, out, err = call("tasks", "zzz")
    assert (code, out, "no name contains 'zzz'" in err) == (2, "", True), err
