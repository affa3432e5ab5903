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
