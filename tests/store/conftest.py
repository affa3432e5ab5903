"""Small plans and answers, as functions, so that property tests can call them too."""

from collections.abc import Callable

import pytest

from ft_eval.records import Answer, RunPlan, SampleResult, TaskResult
from tests.store import made


@pytest.fixture(scope="session")
def make_plan() -> Callable[..., RunPlan]:
    """A plan of two jobs, base and ft on one task; keywords change the task."""
    return made.plan


@pytest.fixture(scope="session")
def make_answer() -> Callable[[int], Answer]:
    """The answer to the request with that number."""
    return made.answer


@pytest.fixture(scope="session")
def make_sample() -> Callable[[str, int], SampleResult]:
    """A job's sample of the document with that number."""
    return made.sample


@pytest.fixture(scope="session")
def make_result() -> Callable[[str], TaskResult]:
    """A job's result."""
    return made.result
