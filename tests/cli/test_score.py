"""`ft-eval score`, and what `ft-eval run` sees to before a code task: scores, files, mistakes of one line each."""

import json
import os
from pathlib import Path

import pytest

from ft_eval.errors import SandboxError
from ft_eval.harness.manifest import Manifest, MirroredFile, MirroredRepository, write_manifest
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.store import RunStore
from tests.fakes import caller, write_checkpoint

RIGHT, BASE_ONLY, WRONG = "    return abs(x)\n", "    return x\n", "    return None\n"


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run the command line in a folder with two problems; gives its exit code, stdout and stderr."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(os, "environ", {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")})
    write("problems.jsonl", *(problem(number) for number in range(2)))

    return caller(capsys)


@pytest.fixture(scope="module")
def boxed() -> None:
    try:
        with Sandbox():
            return
    except SandboxError as error:
        pytest.skip(f"no sandbox here: {error}")


def problem(number: int) -> dict[str, object]:
    return {
        "task_id": f"Tiny/{number}",
        "prompt": "def solve(x):\n",
        "entry_point": "solve",
        "canonical_solution": RIGHT,
        "base_input": [[1], [2]],
        "plus_input": [[-1]],
        "atol": 0,
    }


def write(name: str, *rows: dict[str, object]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def completions(*texts: str) -> list[dict[str, object]]:
    return [{"task_id": f"Tiny/{number % 2}", "completion": text} for number, text in enumerate(texts)]


SCORE = ("score", "samples.jsonl", "--task", "humaneval_plus", "--problems", "problems.jsonl")


def test_a_table_for_people_and_a_file_for_programs(call, boxed):
    write("samples.jsonl", *completions(BASE_ONLY, RIGHT))
    code, out, err = call(*SCORE, "--json", "out.json", "--num-workers", "1")
    assert code == 0, err
    found = json.loads(Path("out.json").read_text())
    assert found["pass@1"] == {"base": 1.0, "plus": 0.5}
    assert found["samples"] == [
        {"task_id": "Tiny/0", "base": True, "plus": False, "status": "failed"},
        {"task_id": "Tiny/1", "base": True, "plus": True, "status": "passed"},
    ]
    assert (found["num_problems"], found["num_samples"], found["missing"]) == (2, 2, [])
    assert "probe" in found["scoring"]["sandbox"]
    assert found["scoring"]["humaneval_plus_data"] == "HumanEvalPlus, not a known release"
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in out.splitlines() if "│" in line]
    assert rows == [["base", "100.0%"], ["plus", "50.0%"]]
    assert "2 samples: 1 failed, 1 passed" in out
    assert "2 samples scored" in err


def test_remarks_are_counted(call, boxed):
    write("samples.jsonl", *completions(RIGHT, "", RIGHT)[::2])
    code, out, err = call(*SCORE, "--partial")
    assert code == 0, err
    assert "1 problems have no sample; the rates are over the other 1" in out
    assert "1 samples repeat another" in out
    assert "pass@10" not in out


def test_ten_samples_of_each_problem_give_pass_at_10(call, boxed):
    write("samples.jsonl", *completions(RIGHT, *[WRONG] * 19))
    code, _, err = call(*SCORE, "--json", "out.json")
    assert code == 0, err
    found = json.loads(Path("out.json").read_text())
    assert found["pass@1"] == {"base": 0.05, "plus": 0.05}
    assert found["pass@10"] == {"base": 0.5, "plus": 0.5}
    assert "pass@100" not in found


MISTAKES = {
    "no file": (["score", "gone.jsonl", *SCORE[2:]], "gone.jsonl can't be read"),
    "empty": (["score", "empty.jsonl", *SCORE[2:]], "has no samples"),
    "unfinished": ([*SCORE], "no sample for 1 of 2 problems"),
    "task": ([*SCORE[:2], "--task", "humaneval_puls"], "did you mean humaneval_plus"),
    "no task": ([*SCORE[:2]], "--task"),
    "problems": ([*SCORE[:-1], "gone.jsonl", "--partial"], "gone.jsonl: no such file"),
    "not problems": ([*SCORE[:-1], "samples.jsonl"], "samples.jsonl:1 has no prompt"),
    "tier": ([*SCORE, "--sandbox", "nune"], "did you mean none"),
    "unsafe": ([*SCORE, "--sandbox", "none"], "pass --allow-unsafe-code"),
    "output": ([*SCORE, "--json", "nowhere/out.json"], "a folder that exists"),
    "output over input": ([*SCORE, "--json", "samples.jsonl"], "that is an input"),
    "workers": ([*SCORE, "--num-workers", "0"], "--num-workers"),
    "data": ([*SCORE[:4], "--offline", "--data-dir", "."], "offline it can't be fetched"),
    "unsafe run": (["run", "--sandbox", "none"], "pass --allow-unsafe-code"),
    "tier of a run": (["run", "--sandbox", "nss"], "did you mean ns"),
}


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_written(call, case, monkeypatch, tmp_path):
    import evalplus.data.utils

    monkeypatch.setattr(evalplus.data.utils, "CACHE_DIR", str(tmp_path / "evalplus"))
    arguments, words = case
    write("samples.jsonl", *completions(RIGHT))
    Path("empty.jsonl").touch()
    before = {path.name: path.read_bytes() for path in Path.cwd().iterdir()}
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if line.lower().startswith("error")]) == 1
    assert {path.name: path.read_bytes() for path in Path.cwd().iterdir()} == before


@pytest.mark.parametrize("tier", ["ns", "ll"])
def test_a_tier_that_can_not_be_had_is_one_line_and_no_other_is_taken(call, monkeypatch, tier):
    from ft_eval.sandbox import tiers
    from ft_eval.sandbox.server import ServerError

    asked = []

    def refuse(tier):
        asked.append(str(tier))
        raise ServerError("not on this kernel")

    monkeypatch.setattr(tiers, "_start_probed", refuse)
    write("samples.jsonl", *completions(RIGHT, RIGHT))
    code, _, err = call(*SCORE, "--sandbox", tier)
    assert (code, asked) == (2, [tier])
    assert f"({tier}: not on this kernel)" in err


def test_the_unsafe_tier_is_taken_where_it_is_allowed_and_the_record_says_so(call):
    write("samples.jsonl", *completions(RIGHT, RIGHT))
    unsafe = ("--sandbox", "none", "--allow-unsafe-code", "--num-workers", "2")
    code, out, err = call(*SCORE, *unsafe, "--json", "out.json")
    assert code == 0, err
    assert json.loads(Path("out.json").read_text())["scoring"]["sandbox"].startswith("none: no isolation")
    assert "none: no isolation" in out


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("m") / "base", max_length=512)


def run_arguments(model: Path, *more: str) -> tuple[str, ...]:
    shared = ("--limit", "2", "--offline", "-o", "out")
    return ("run", "--ckpt", str(model), "--tasks", "toy_humaneval", *shared, *more)


def test_a_run_checks_its_own_items_and_records_how_programs_ended(call, model, boxed):
    code, _, err = call(*run_arguments(model))
    assert code == 0, err
    assert "gold check, toy_humaneval: 2 of 2" in err
    store = RunStore.open(Path("out"))
    (job,) = store.plan.jobs
    result = store.result(job.id)
    assert result is not None
    assert result.scoring["own_solutions"] == "2 of 2 pass"
    assert result.scoring["sandbox"].split(":")[0] in {"ns", "ll"}
    details = [dict(sample.details) for sample in store.samples(job.id)]
    assert [set(one) >= {"base"} and one["base"] != "passed" for one in details] == [True, True]


def test_a_run_whose_solutions_fail_asks_nothing_of_a_model_unless_told_to_go_on(call, model, boxed, monkeypatch):
    from ft_eval.harness import toy_tasks

    original = toy_tasks.function_problem

    def broken(doc):
        return original({**doc, "canonical_solution": "    import time\n    return time.time_ns()\n"})

    monkeypatch.setattr("ft_eval.harness.code_documents.function_problem", broken)
    code, _, err = call(*run_arguments(model))
    assert code == 2
    assert "toy_humaneval: 0 of 2 of its own solutions pass here" in err
    assert "ToyEval/0 (base tests: failed)" in err
    assert not Path("out").exists(), "a run that is refused leaves nothing behind"
    code, _, err = call(*run_arguments(model, "--skip-gold-check"))
    assert code == 0, err
    assert [path.name for path in Path("out").rglob("*.jsonl*")] != []
    store = RunStore.open(Path("out"))
    result = store.result(store.plan.jobs[0].id)
    assert result is not None
    assert result.scoring["own_solutions"] == "not checked"


def test_the_tier_that_is_asked_for_is_the_tier_of_the_run(call, model):
    code, _, err = call(*run_arguments(model, "--sandbox", "none", "--allow-unsafe-code"))
    assert code == 0, err
    store = RunStore.open(Path("out"))
    result = store.result(store.plan.jobs[0].id)
    assert result is not None
    assert result.scoring["sandbox"].startswith("none: no isolation")


def test_tests_that_are_no_release_are_told_and_those_of_a_manifest_are_held_to_it(call, tmp_path):
    write("samples.jsonl", *completions(RIGHT, RIGHT))
    release = tmp_path / "data" / "evalplus-release" / "HumanEvalPlus.jsonl.gz"
    release.parent.mkdir(parents=True)
    release.write_bytes(Path("problems.jsonl").read_bytes())
    arguments = (*SCORE[:4], "--sandbox", "none", "--allow-unsafe-code", "--data-dir", tmp_path / "data", "--offline")
    code, _, err = call(*arguments)
    told = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert (code, len(told)) == (0, 1), err
    assert "is not HumanEvalPlus v0.1.10 as evalplus released it" in told[0]
    entry = MirroredFile(path=release.name, num_bytes=release.stat().st_size, sha256="0" * 64)
    listed = MirroredRepository(id="evalplus-release", revision="v", source="https://hub", rows={}, files=(entry,))
    write_manifest(tmp_path / "data", Manifest(repositories=(listed,)))
    code, out, err = call(*arguments)
    assert (code, out, "it was changed; run `ft-eval fetch`" in err) == (2, "", True)


def test_a_run_that_goes_on_in_another_sandbox_says_so(call, model):
    unsafe = ("--sandbox", "none", "--allow-unsafe-code")
    assert call(*run_arguments(model, *unsafe))[0] == 0
    for tier, words in (("ll", "--sandbox ll"), ("auto", "--sandbox auto")):
        code, _, err = call(*run_arguments(model, "--sandbox", tier))
        told = [line for line in err.splitlines() if line.startswith("warning: ")]
        assert (code, len(told)) == (0, 1), err
        assert f"were run in the sandbox none, and {words} changes nothing of that; choose another" in told[0]
    code, _, err = call(*run_arguments(model, *unsafe))
    assert (code, "warning" in err) == (0, False), err
