"""The page of bad inputs and the tests say the same: no row without a test, no case without a row, no number absent."""

import importlib
import re

import pytest

from tests.bad_inputs.case import Case, Held
from tests.bad_inputs.index import ROOT, rows

GROUPS = ("test_checkpoints", "test_lengths", "test_tasks", "test_data", "test_numbers", "test_output", "elsewhere")
NUMBERS = range(1, 81)


def group(module: str) -> tuple[Case | Held, ...]:
    found = importlib.import_module(f"tests.bad_inputs.{module}")
    return (*found.CASES, *found.HELD)


def test_every_case_is_a_row_and_every_row_a_case():
    told = [(case.number, case.what) for module in GROUPS for case in group(module)]
    assert len(told) == len(set(told))
    assert set(told) == set(rows())


def test_no_number_of_the_list_is_left_out():
    assert {number for number, _ in rows()} == set(NUMBERS)


@pytest.mark.parametrize("module", GROUPS)
def test_what_another_test_holds_is_held_by_a_test_that_exists(module):
    for case in group(module):
        if isinstance(case, Held) and case.test:
            assert _exists(module, case.test), f"{case.number}: no test {case.test}"
        elif isinstance(case, Held):
            assert rows()[case.number, case.what].answer.startswith("does not apply: ")


def _exists(module: str, test: str) -> bool:
    if "::" not in test:
        return hasattr(importlib.import_module(f"tests.bad_inputs.{module}"), test)
    file, name = test.split("::")
    return re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE) is not None
