"""A task whose own solutions fail is refused by name; one whose solutions pass is run once on a machine."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ft_eval.errors import SandboxError, TaskError
from ft_eval.harness import code_tasks
from ft_eval.harness.code_check import check_references
from ft_eval.harness.code_documents import code_task, outcomes
from ft_eval.sandbox.records import Limits

TASK = "toy_humaneval"


def document(number: int, body: str = "    return 2 * x\n") -> dict[str, Any]:
    return {
        "task_id": f"Toy/{number}",
        "prompt": "def solve(x):\n",
        "entry_point": "solve",
        "canonical_solution": body,
        "inputs": json.dumps([[number], [number + 1]]),
    }


@dataclass
class Checking:
    """Sessions over a cache of their own, and what they told of their checks."""

    told: list[tuple[str, int, int]] = field(default_factory=list)

    def check(self, documents: list[dict[str, Any]], **settings: Any) -> str:
        del self.told[:]
        given = {"offline": True, "num_workers": 1, "on_check": lambda *progress: self.told.append(progress)}
        with code_tasks.session(code_tasks.CodeTaskSettings(**{**given, **settings})) as opened:
            return check_references(opened, TASK, documents)

    @property
    def num_run(self) -> int:
        return len(self.told)


@pytest.fixture
def checking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checking:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    try:
        with code_tasks.session(code_tasks.CodeTaskSettings(offline=True)) as opened:
            assert opened.description
    except SandboxError as error:
        pytest.skip(f"no sandbox here: {error}")
    return Checking()


def test_what_has_passed_is_not_run_again_and_only_what_is_new_is(checking):
    documents = [document(number) for number in range(5)]
    assert checking.check(documents[:3]) == "3 of 3 pass"
    assert checking.told == [(TASK, 1, 3), (TASK, 2, 3), (TASK, 3, 3)]
    assert checking.check(documents[:3]) == "3 of 3 pass"
    assert checking.num_run == 0
    assert checking.check(documents) == "5 of 5 pass"
    assert checking.num_run == 2
    assert checking.check([document(0, "    return x + x\n")]) == "1 of 1 pass"
    assert checking.num_run == 1, "another solution is another item"


def test_other_circumstances_are_checked_anew(checking, monkeypatch):
    documents = [document(0)]
    checking.check(documents)
    checking.check(documents, limits=Limits(call_seconds=2.0))
    assert checking.num_run == 1
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    checking.check(documents)
    assert checking.num_run == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"about": 1, "passed": 2}', "\0"])
def test_a_damaged_cache_is_as_good_as_none(checking, tmp_path, text):
    checking.check([document(0)])
    (file,) = (tmp_path / "cache" / "ft-eval").glob("references-*.json")
    file.write_text(text)
    assert checking.check([document(0)]) == "1 of 1 pass"
    assert checking.num_run == 1


def test_a_cache_that_can_not_be_written_is_done_without(checking, tmp_path):
    (tmp_path / "cache").write_text("a file in the way")
    assert checking.check([document(0)]) == "1 of 1 pass"


def test_solutions_that_fail_are_named_with_the_reason_and_never_kept(checking):
    fickle = "    import time\n    return time.time_ns()\n"
    documents = [document(0), document(1, "    return 1 / 0\n"), document(2, fickle)]
    for _ in range(2):
        with pytest.raises(TaskError, match="1 of 3 of its own solutions pass") as caught:
            checking.check(documents)
        assert "Toy/1 (the reference solution of Toy/1 ended failed" in str(caught.value)
        assert "Toy/2 (base tests: failed)" in str(caught.value)
        assert "--skip-gold-check" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert checking.num_run == 2, "what passed was kept, what failed was not"


def test_one_that_fails_among_neighbours_gets_a_second_try_alone(checking, monkeypatch):
    from ft_eval.harness.code_scorer import CodeScorer

    original, tried = CodeScorer._run, []

    def fail_once(self, problem, program, test_set):
        tried.append(problem.task_id)
        return original(self, problem, "" if len(tried) == 1 else program, test_set)

    monkeypatch.setattr(CodeScorer, "_run", fail_once)
    assert checking.check([document(0)]) == "1 of 1 pass"
    assert tried == ["Toy/0", "Toy/0"]


def test_many_failures_are_counted_after_the_first_five(checking):
    with pytest.raises(TaskError, match=r"Toy/4 .* and 3 more fail"):
        checking.check([document(number, "    return 1 / 0\n") for number in range(8)])


def test_it_can_be_left_out_and_the_record_says_so(checking):
    broken = [document(0, "    return 1 / 0\n")]
    assert checking.check(broken, check_references=False) == "not checked"
    with code_tasks.session(code_tasks.CodeTaskSettings(offline=True)) as opened:
        assert check_references(opened, "a_task_of_somebody_elses", broken) == "not checked"


def test_a_sample_says_how_its_program_ended_and_nothing_is_run_for_it(checking, monkeypatch):
    reading = code_task(TASK)
    assert reading is not None
    with code_tasks.session(code_tasks.CodeTaskSettings(offline=True)) as opened:
        problem = reading.problem(opened, document(0))
        for body in ("    return 2 * x\n", "    return x\n"):
            opened.score(problem, reading.program(problem, document(0), body))
        monkeypatch.setattr(opened, "_scorers", None)
        assert outcomes(opened, TASK, document(0), "    return 2 * x\n") == {"base": "passed"}
        assert outcomes(opened, TASK, document(0), "    return x\n") == {
            "base": "failed",
            "detail": "call 1: answer refused",
        }
        assert outcomes(opened, TASK, document(0), "never scored") == {}
        assert outcomes(opened, "somebody_elses", document(0), "") == {}


def test_plus_tests_that_were_not_run_are_said_to_be(checking, tmp_path):
    row = {
        "task_id": "HumanEval/0",
        "prompt": "def f(x):\n",
        "entry_point": "f",
        "canonical_solution": "    return abs(x)\n",
        "base_input": [[1]],
        "plus_input": [[-1]],
        "atol": 0,
    }
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps(row))
    doc = {"task_id": "HumanEval/0", "prompt": row["prompt"]}
    with code_tasks.session(code_tasks.CodeTaskSettings(offline=True, problems_file=file)) as opened:
        found = []
        for body in ("    return abs(x)\n", "    return x\n", "    return 0\n"):
            code_tasks.process_humaneval_plus(doc, [body])
            found.append(outcomes(opened, "humaneval_plus", doc, body))
        assert check_references(opened, "humaneval_plus", [doc]) == "1 of 1 pass"
    assert [(one["base"], one["plus"]) for one in found] == [
        ("passed", "passed"),
        ("passed", "failed"),
        ("failed", "not run"),
    ]


@pytest.mark.parametrize("task", ["humaneval_plus", "mbpp_plus", "ft_mbpp", "toy_humaneval"])
def test_every_code_task_of_ours_can_be_checked(checking, data_dir, task):
    """Its first documents' own solutions pass, read as a run reads them."""
    from ft_eval.harness.mirror import DataSource
    from ft_eval.harness.tasks import TaskOptions, load_tasks

    source = DataSource(data_dir=data_dir, offline=True)
    loaded = load_tasks([task], TaskOptions(limit=2), source)
    documents = list(loaded.tasks[task].eval_docs)[:2]
    with code_tasks.session(code_tasks.CodeTaskSettings(data_dir=data_dir, offline=True)) as opened:
        assert check_references(opened, task, documents) == "2 of 2 pass"


@pytest.mark.slow
@pytest.mark.parametrize(("task", "count"), [("humaneval_plus", 164), ("mbpp_plus", 378), ("ft_mbpp", 500)])
def test_all_of_a_tasks_own_solutions_pass(checking, data_dir, task, count):
    from ft_eval.harness.mirror import DataSource
    from ft_eval.harness.tasks import TaskOptions, load_tasks

    loaded = load_tasks([task], TaskOptions(), DataSource(data_dir=data_dir, offline=True))
    with code_tasks.session(code_tasks.CodeTaskSettings(data_dir=data_dir, offline=True)) as opened:
        assert check_references(opened, task, list(loaded.tasks[task].eval_docs)) == f"{count} of {count} pass"
