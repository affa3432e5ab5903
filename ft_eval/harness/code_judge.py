"""Is an answer right? evalplus 0.3.1's comparison, on untrusted plain data, outside the process that made it.

An answer is right when it equals the expected one, or is close to it where a tolerance holds, or satisfies the
problem's own rule (`evalplus/eval/__init__.py` and `_special_oracle.py`). Two differences, both on purpose:
HumanEval/32 can be passed (0.3.1 forgets to note a pass; its successor does not), and closeness needs equal shapes
(0.3.1 lets NumPy broadcast, so [[1.0], [1.0]] passes for [1.0, 1.0]). One rule is not evalplus's: EXACT, for what
asserts a plain `==`. Knows no process and no file.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ft_eval.harness.closeness import LONGEST_PART, has_more_parts, is_close, is_floats, num_parts
from ft_eval.harness.equality import are_equal, may_equal_nothing
from ft_eval.sandbox.elements import element_texts
from ft_eval.sandbox.normal import normal_digest, normal_text, number_value
from ft_eval.sandbox.records import Answer
from ft_eval.sandbox.wire import Tree, WireError, from_tree, parse

_FLOAT_TOLERANCE = 1e-6
"""Absolute, from the first test on that expects floats, unless the problem has its own."""
_SHA256_LENGTH = 64
_MAY_BE_FLOATS = re.compile(rb'(\["x","[^"]*",)*(\["[lt]",)?(\[|-?[0-9])').match
"""How the text of a float, or of a list or tuple of floats, begins: of other answers nothing need be parsed."""

EXACT, EQUAL, ROOT, ANYTHING, ZERO_TOO = "exact", "equal", "root", "anything", "zero_too"
SURFACE_AREA, DIGIT_DISTANCE, SAME_SET, NOT_NONE = "surface_area", "digit_distance", "same_set", "not_none"
_BY_ENTRY_POINT: Mapping[str, Mapping[str, str]] = {
    "humaneval_plus": {"find_zero": ROOT},  # HumanEval/32
    "mbpp_plus": {
        "are_equivalent": ANYTHING,  # Mbpp/164
        "sum_div": ZERO_TOO,  # Mbpp/295
        "digit_distance_nums": DIGIT_DISTANCE,  # Mbpp/558
        "surface_Area": SURFACE_AREA,  # Mbpp/581
    },
}


class NeedsWholeAnswerError(Exception):
    """A digest differs where a tolerance or a set comparison might still accept: run again without digests."""


def oracle_name(task: str, entry_point: str) -> str:
    """The rule for a problem, by its task and the function it asks for."""
    from evalplus.eval._special_oracle import (  # noqa: PLC0415 (heavy: only once problems are read)
        MBPP_OUTPUT_NOT_NONE_TASKS,
        MBPP_OUTPUT_SET_EQ_TASKS,
    )

    if task == "mbpp_plus" and entry_point in MBPP_OUTPUT_SET_EQ_TASKS:
        return SAME_SET
    if task == "mbpp_plus" and entry_point in MBPP_OUTPUT_NOT_NONE_TASKS:
        return NOT_NONE
    return _BY_ENTRY_POINT.get(task, {}).get(entry_point, EQUAL)


class TestSetJudge:
    """Judges the answers to one test set, in order. The tolerance that floats switch on stays on, as in evalplus."""

    __test__ = False  # pytest: a judge of tests, not a test

    def __init__(
        self,
        *,
        oracle: str,
        atol: float,
        inputs: Sequence[bytes],
        expected: Sequence[Answer],
        digest_bytes: int = 0,
    ) -> None:
        """Wire texts and what the reference answers to them. An answer longer than `digest_bytes` comes as a digest."""
        self._oracle, self._first_atol, self._atol = oracle, atol, atol
        self._inputs, self._expected, self._digest_bytes = inputs, expected, digest_bytes

    def __call__(self, answer: Answer) -> bool:
        """Whether the answer is right. Raises NeedsWholeAnswerError when a digest is not enough to tell."""
        if answer.index == 0:
            self._atol = self._first_atol
        try:
            return self._is_right(answer, self._expected[answer.index])
        except (WireError, RecursionError):  # none of ours, or nested deeper than any of ours
            return False

    def _is_right(self, answer: Answer, expected: Answer) -> bool:
        if self._oracle == EXACT:
            return _is_equal(answer, expected)
        if self._oracle == ROOT:
            return _is_root(answer, self._arguments(answer.index), self._atol)
        is_exact = self._is_exact(answer, expected)
        if self._atol == 0 and _expects_floats(expected):
            self._atol = _FLOAT_TOLERANCE
        return is_exact or (
            self._atol != 0 and self._may_be_close(answer, expected) and _is_close(answer, expected, self._atol)
        )

    def _may_be_close(self, answer: Answer, expected: Answer) -> bool:
        """False for a digest of what is longer than any number, or array of numbers, close to a short expected one."""
        if answer.digest is None or expected.text is None:
            return True
        return self._digest_bytes < LONGEST_PART * num_parts(expected.text)

    def _is_exact(self, answer: Answer, expected: Answer) -> bool:
        if self._oracle == SAME_SET:
            return _is_same_set(answer, expected)
        if self._oracle == NOT_NONE:
            return _is_not_none(answer, expected)
        return _is_equal(answer, expected) or self._satisfies_rule(answer)

    def _satisfies_rule(self, answer: Answer) -> bool:
        if self._oracle == ANYTHING:
            return True
        if self._oracle == ZERO_TOO:
            return answer.text is not None and normal_text(parse(answer.text)) == "0"
        if self._oracle in _NUMBER_RULES:
            return _NUMBER_RULES[self._oracle](answer, self._arguments(answer.index), self._atol)
        return False

    def _arguments(self, index: int) -> list[Any]:
        """The test's own arguments, as the program got them and before it could change them."""
        arguments: list[Any] = from_tree(parse(self._inputs[index]))
        return arguments


def _is_equal(answer: Answer, expected: Answer) -> bool:
    if answer.text is not None and answer.text == expected.text:
        return not may_equal_nothing(answer.text) or normal_text(parse(answer.text)) is not None
    if answer.text is not None and expected.text is not None:
        return are_equal(answer.text, expected.text)
    ours_digest, theirs_digest = _digest(expected), _digest(answer)
    return ours_digest is not None and ours_digest == theirs_digest


def _digest(answer: Answer) -> str | None:
    return _sent_digest(answer) if answer.text is None else normal_digest(parse(answer.text))


def _sent_digest(answer: Answer) -> str | None:
    """The digest of a long answer; None where there is none, and for what equals nothing."""
    return answer.digest if answer.digest is not None and len(answer.digest) == _SHA256_LENGTH else None


def _tree(answer: Answer) -> Tree:
    if answer.text is None:
        raise NeedsWholeAnswerError
    return parse(answer.text)


def _is_same_set(answer: Answer, expected: Answer) -> bool:
    """`set(answer) == set(expected)`, without making a set of foreign values. Raises WireError where no set is right.

    Whatever the tolerance, then: evalplus makes the sets first.
    """
    digest = _sent_digest(answer)
    if digest is not None and digest == _sent_digest(expected):
        return True
    theirs = element_texts(_tree(answer))
    if theirs is None:
        raise WireError("no set can be made of it")
    return theirs == element_texts(_tree(expected))


def _is_not_none(answer: Answer, expected: Answer) -> bool:
    """Something against None; where the answer is a plain bool, that bool against whether something is expected."""
    expects_something = expected.text != b"null"
    if answer.text in (b"true", b"false"):
        return (answer.text == b"true") == expects_something
    return (answer.text != b"null") == expects_something


def _is_root(answer: Answer, arguments: list[Any], atol: float) -> bool:
    """HumanEval/32: the polynomial is within `atol` of zero at the answer."""
    from evalplus.eval._special_oracle import _poly  # noqa: PLC0415 (see oracle_name)

    return _holds(answer, lambda x: abs(_poly(*arguments, x)) <= atol)


def _is_surface_area(answer: Answer, arguments: list[Any], atol: float) -> bool:
    """Mbpp/581: the height read as that of the pyramid, not of its face."""
    from evalplus.eval._special_oracle import _surface_Area  # noqa: PLC0415 (see oracle_name)

    return _holds(answer, lambda area: abs(area - _surface_Area(*arguments)) <= atol)


def _is_digit_distance(answer: Answer, arguments: list[Any], _atol: float) -> bool:
    """Mbpp/558: the shorter number filled up with zeros."""
    from evalplus.eval._special_oracle import _digit_distance_nums  # noqa: PLC0415 (see oracle_name)

    return _holds(answer, lambda distance: distance == _digit_distance_nums(*arguments))


_NUMBER_RULES: Mapping[str, Callable[[Answer, list[Any], float], bool]] = {
    SURFACE_AREA: _is_surface_area,
    DIGIT_DISTANCE: _is_digit_distance,
}


def _holds(answer: Answer, rule: Callable[[Any], bool]) -> bool:
    """Whether the answer is a plain number and the rule holds for it; a rule that raises does not hold."""
    number = None if answer.text is None else number_value(parse(answer.text))
    if number is None:
        return False
    try:
        return bool(rule(number))
    except (ArithmeticError, ValueError, TypeError):
        return False


def _expects_floats(expected: Answer) -> bool:
    """Evalplus's `is_floats`: a float, or a list or tuple of nothing but floats."""
    if expected.text is None:
        return expected.is_floats
    if not _MAY_BE_FLOATS(expected.text):
        return False
    if b"." not in expected.text and b"e" not in expected.text and b'"f"' not in expected.text:
        return False
    return is_floats(parse(expected.text))


def _is_close(answer: Answer, expected: Answer, atol: float) -> bool:
    if answer.text is not None and expected.text is not None and has_more_parts(answer.text, expected.text):
        return False
    return is_close(_tree(answer), _tree(expected), atol)
