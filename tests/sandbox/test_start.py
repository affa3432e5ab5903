"""What the server leaves out around a fork is missed by no program: in every tier."""

from ft_eval.sandbox.records import Answer, Calls
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.wire import encode, from_tree, parse


def _answer(sandbox: Sandbox, program: str) -> object:
    calls = Calls(program=program, entry_point="solve", inputs=(encode([0]),))
    (answer,) = sandbox.run_calls(calls).answers
    assert isinstance(answer, Answer), program
    return from_tree(parse(answer.text or b"null"))


def test_a_program_finds_its_thread_to_be_the_main_one_and_its_locks_free(sandbox: Sandbox) -> None:
    program = """
import logging, os, threading
def solve(_):
    lock = threading.RLock()
    is_main = threading.current_thread() is threading.main_thread()
    with lock:
        logging.getLogger("a").debug("nothing")
    worker = threading.Thread(target=lambda: None)
    worker.start()
    worker.join()
    return [is_main, threading.get_ident() == threading.main_thread().ident, threading.active_count()]
"""
    assert _answer(sandbox, program) == [True, True, 1]


def test_the_function_that_registers_fork_hooks_is_pythons_own(sandbox: Sandbox) -> None:
    program = (
        "import os\ndef solve(_):\n    return [type(os.register_at_fork).__name__, os.register_at_fork.__module__]"
    )
    assert _answer(sandbox, program) == ["builtin_function_or_method", "posix"]


def test_random_begins_alike_for_every_program_and_differs_from_call_to_call(sandbox: Sandbox) -> None:
    program = "import random\ndef solve(_):\n    return [random.random(), random.random()]"
    first = _answer(sandbox, program)
    assert isinstance(first, list)
    assert first[0] != first[1]
    assert _answer(sandbox, program) == first
    assert _answer(sandbox, program.replace("solve(_)", "solve(_, numpy=None)")) == first
