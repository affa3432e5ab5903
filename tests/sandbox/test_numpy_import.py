"""A program finds the same NumPy whether it names it or not, and whoever ran before it: in every tier."""

from collections.abc import Iterator

import pytest

from ft_eval.sandbox.records import Calls, Outcome, SandboxSettings
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.wire import encode

NAMED = "import numpy\n"
UNNAMED = "numpy = __import__('num' + 'py')\n"
NUMBERS = "def solve(_):\n    return [float(numpy.random.rand()), numpy.linalg.inv([[2.0]]).tolist()]"
NOT_LOADED = "import sys\ndef solve(_):\n    return 'num' + 'py' in sys.modules"


def _answer(sandbox: Sandbox, program: str) -> bytes | None:
    result = sandbox.run_calls(Calls(program=program, entry_point="solve", inputs=(encode([0]),)))
    assert result.outcome is Outcome.PASSED, result
    return result.answers[0].text


@pytest.fixture
def fresh(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox of the same tier that has run nothing yet."""
    with Sandbox(SandboxSettings(tier=str(sandbox.tier))) as opened:
        if "no numpy" in opened.description:
            pytest.skip("the Python in this box has no NumPy")
        yield opened


def test_numpy_is_the_same_by_name_and_without_and_after_others(fresh: Sandbox) -> None:
    unnamed = _answer(fresh, UNNAMED + NUMBERS)
    named = _answer(fresh, NAMED + NUMBERS)
    assert unnamed == named
    assert _answer(fresh, UNNAMED + NUMBERS) == named
    assert _answer(fresh, NAMED + NUMBERS) == named


def test_the_server_imports_numpy_for_the_first_program_that_names_it(fresh: Sandbox) -> None:
    before = _answer(fresh, NOT_LOADED)
    assert _answer(fresh, NAMED + NUMBERS) is not None
    assert _answer(fresh, NOT_LOADED) == b"true"
    assert before in {b"false", b"true"}  # a server that gives up root imports it while it still can


def test_loading_numpy_leaves_no_trace_in_the_environment(fresh: Sandbox) -> None:
    environment = "import os\ndef solve(_):\n    return sorted(os.environ)"
    expected = _answer(fresh, environment)
    assert _answer(fresh, NAMED + environment) == expected
    assert _answer(fresh, UNNAMED + environment) == expected
