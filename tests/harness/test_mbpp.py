"""MBPP's assertions are judged outside the program, which never sees what they expect."""

from collections.abc import Iterator
from typing import Any

import pytest

from ft_eval.errors import DataError, SandboxError
from ft_eval.harness import code_tasks
from ft_eval.harness.mbpp import mbpp_problem, mbpp_program, process_mbpp
from ft_eval.sandbox.records import Limits


def doc(*assertions: str, code: str = "", setup: str = "") -> dict[str, Any]:
    return {"task_id": 11, "code": code, "test_list": list(assertions), "test_setup_code": setup}


RIGHT = "def double(x):\r\n    return x + x"
DOUBLE = doc(
    "assert double(2) == 4", "assert double('ab') == 'abab'", "assert set(double([1])) == set((1, 1))", code=RIGHT
)


@pytest.fixture(scope="module")
def opened() -> Iterator[None]:
    """An open sandbox, where this machine has one."""
    limits = Limits(call_seconds=1.0, load_seconds=1.0, total_seconds=10.0)
    with code_tasks.session(code_tasks.CodeTaskSettings(offline=True, limits=limits)):
        try:
            code_tasks.scoring_provenance()
        except SandboxError as error:
            pytest.skip(f"no sandbox here: {error}")
        yield


def test_what_is_expected_is_not_in_the_program():
    assert "4" not in mbpp_program(DOUBLE, RIGHT)
    assert "abab" not in mbpp_program(DOUBLE, RIGHT)
    assert len(mbpp_problem(DOUBLE).base_inputs) == 3


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    ("program", "passes"),
    [
        (RIGHT, True),
        ("def double(x):\n    return 2 * x\n\nassert double(1) == 2", True),
        ("def double(x):\n    return 4", False),
        ("def double(x):\n    return x if isinstance(x, int) else x + x", False),
        ("def double(x):\n    raise ValueError", False),
        ("def double(x:\n    return x + x", False),
        ("def treble(x):\n    return x + x", False),
        ("class Any:\n    __eq__ = lambda *_: True\n\ndef double(x):\n    return Any()", False),
        ("def double(x):\n    return x + x\n\ntext = '''", False),
        ("import sys\n\ndef double(x):\n    return x + x\n\nsys.exit(0)", False),
        ("", False),
    ],
)
def test_a_program_passes_when_all_assertions_hold(program, passes):
    assert process_mbpp(DOUBLE, [program]) == {"pass@1": float(passes)}


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    ("body", "passes"), [("x / 3", True), ("round(x / 3, 7)", False), ("x / 3 + 9e-7", False), ("x / 3 + 1e-16", False)]
)
def test_an_assertion_of_floats_has_no_tolerance(body, passes):
    thirds = doc("assert f(3) == 1.0", "assert f(1) == 0.3333333333333333", code="def f(x):\n    return x / 3")
    assert process_mbpp(thirds, [f"def f(x):\n    return {body}"]) == {"pass@1": float(passes)}


@pytest.mark.usefixtures("opened")
def test_the_set_up_code_runs_after_the_program_that_it_uses():
    program = "class Node:\n    def __init__(self, n):\n        self.n = n\n\ndef value(node):\n    return node.n"
    tree = doc("assert value(root) == 3", code=program, setup="root = Node(3)\r\nother = Node(4)")
    assert process_mbpp(tree, [program]) == {"pass@1": 1.0}


@pytest.mark.usefixtures("opened")
def test_the_assertion_decides_not_the_published_program():
    wrong = doc("assert double(2) == 5", code=RIGHT)
    assert process_mbpp(wrong, [RIGHT]) == {"pass@1": 0.0}
    assert process_mbpp(wrong, ["def double(x):\n    return 5"]) == {"pass@1": 1.0}


def test_the_reference_makes_each_call_and_answers_what_is_asserted():
    """So that its time is known for every call, and its answers are the assertions'."""
    code = "calls = []\n\ndef double(x):\n    calls.append(x)\n    return 0"
    namespace: dict[str, Any] = {}
    exec(mbpp_problem({**DOUBLE, "code": code, "test_list": DOUBLE["test_list"][:2]}).reference, namespace)  # noqa: S102
    assert [namespace["ft_eval_assertion"](number) for number in (0, 1)] == [4, "abab"]
    assert namespace["calls"] == [2, "ab"]


@pytest.mark.parametrize("text", ["assert double(2)", "double(2) == 4", "assert 1 == 1; assert 2 == 2", "assert ("])
def test_an_assertion_of_another_form_is_named(text):
    with pytest.raises(DataError, match="MBPP/11 has the assertion"):
        mbpp_problem(doc(text))


@pytest.mark.slow
@pytest.mark.usefixtures("opened")
def test_all_published_programs_pass(data_dir):
    import pyarrow.parquet

    (file,) = (data_dir / "google-research-datasets" / "mbpp" / "full").glob("test-*.parquet")
    docs = pyarrow.parquet.read_table(file).to_pylist()
    failed = [row["task_id"] for row in docs if process_mbpp(row, [row["code"]]) != {"pass@1": 1.0}]
    assert (len(docs), failed) == (500, [])
