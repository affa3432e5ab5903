"""Small plans and answers, as functions, so that property tests can call them too."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ft_eval.records import Answer, RunPlan, SampleResult, TaskResult
from ft_eval.store.run_store import RunStore
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


@pytest.fixture
def plan() -> RunPlan:
    """A plan of two jobs."""
    return made.plan()


@pytest.fixture
def job_id(plan: RunPlan) -> str:
    """The first job's."""
    return plan.jobs[0].id


@pytest.fixture
def finished(tmp_path: Path, plan: RunPlan, job_id: str) -> Path:
    """A closed run in which the first of two jobs is done."""
    with RunStore.create(tmp_path / "run", plan) as store:
        store.finish(made.result(job_id), (made.sample(job_id, index) for index in range(2)))
    return tmp_path / "run"
