"""What honest programs do works in the box, in every tier."""

from dataclasses import replace

import pytest

from ft_eval.sandbox.records import Calls, Outcome
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.wire import encode
from tests.sandbox.corpus import INPUTS, is_double
from tests.sandbox.honest import HONEST


@pytest.mark.parametrize("name", HONEST)
def test_honest_programs_pass(sandbox: Sandbox, name: str) -> None:
    result = sandbox.run_calls(Calls(program=HONEST[name], entry_point="solve", inputs=INPUTS), is_double)
    assert result.outcome is Outcome.PASSED, result
    assert result.num_answers == 3


def test_each_call_gets_inputs_that_no_call_before_has_changed(sandbox: Sandbox) -> None:
    program = "shared = []\ndef solve(xs):\n    xs.append(len(shared))\n    shared.append(xs)\n    return xs"
    inputs = (encode([[1, 2]]),) * 3
    result = sandbox.run_calls(Calls(program=program, entry_point="solve", inputs=inputs))
    assert [answer.text for answer in result.answers] == [b'["l",1,2,0]', b'["l",1,2,1]', b'["l",1,2,2]']


def test_random_numbers_and_set_order_are_the_same_in_every_run(sandbox: Sandbox) -> None:
    program = (
        "import random, numpy\n"
        "def solve(x):\n    return [random.random(), float(numpy.random.rand()), list({'a', 'b', 'c', 'd', 'e'})]"
    )
    calls = Calls(program=program, entry_point="solve", inputs=INPUTS)
    assert sandbox.run_calls(calls).answers[0].text == sandbox.run_calls(calls).answers[0].text


def test_an_iterator_is_read_out_only_when_asked(sandbox: Sandbox) -> None:
    program = "def solve(x):\n    return (n for n in range(x))"
    calls = Calls(program=program, entry_point="solve", inputs=INPUTS[2:])
    assert sandbox.run_calls(calls).answers[0].text == b'["o","builtins.generator"]'
    expanded = sandbox.run_calls(replace(calls, expand_iterators=True))
    assert expanded.answers[0].text == b'["e","builtins.generator",0,1,2]'


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("def solve(x:\n    return x", Outcome.SYNTAX_ERROR),
        ("\0", Outcome.SYNTAX_ERROR),
        ("raise ValueError('no')", Outcome.LOAD_ERROR),
        ("import torch_that_is_not_here", Outcome.LOAD_ERROR),
        ("def sovle(x):\n    return x", Outcome.NO_ENTRY_POINT),
        ("solve = None", Outcome.NO_ENTRY_POINT),
        ("solve = 3", Outcome.FAILED),
        ("def solve(x):\n    raise ValueError(x)", Outcome.FAILED),
        ("def solve(x, y):\n    return x", Outcome.FAILED),
        ("def solve(x):\n    return bytearray(1 << 40)", Outcome.OUT_OF_MEMORY),
        ("def solve(x):\n    return x", Outcome.FAILED),
        ("import ctypes\nctypes.string_at(0)", Outcome.CRASHED),
        ("import sys\nsys.exit(0)", Outcome.LOAD_ERROR),
    ],
)
def test_what_went_wrong_has_a_name(sandbox: Sandbox, program: str, outcome: Outcome) -> None:
    result = sandbox.run_calls(Calls(program=program, entry_point="solve", inputs=INPUTS), is_double)
    assert result.outcome is outcome, result
    assert len(result.detail) < 200
    assert result.detail.isprintable()
