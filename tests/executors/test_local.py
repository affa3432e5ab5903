"""The local executor runs jobs here, in order, one at a time, and holds no job back or over."""

import pytest

from ft_eval.executors import Executor, LocalExecutor


def test_outcomes_come_in_the_order_of_the_jobs():
    executor: Executor = LocalExecutor()
    assert list(executor.map(str.upper, ["a", "b", "c"])) == ["A", "B", "C"]
    assert list(executor.map(str.upper, [])) == []


def test_a_job_starts_only_when_its_outcome_is_asked_for():
    started: list[str] = []
    outcomes = LocalExecutor().map(started.append, iter("abc"))
    assert started == []
    next(outcomes)
    assert started == ["a"]


def test_an_exception_comes_out_and_later_jobs_do_not_start():
    started = []

    def run(job):
        started.append(job)
        if job == 1:
            raise KeyError(job)
        return job

    outcomes = LocalExecutor().map(run, [0, 1, 2])
    assert next(outcomes) == 0
    with pytest.raises(KeyError):
        next(outcomes)
    assert list(outcomes) == []
    assert started == [0, 1]
