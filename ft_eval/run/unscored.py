"""Samples that could not be scored: counted and shown, never dropped, and too many of them fail the run.

They count neither as right nor as wrong, so that a score says less the more of them there are.
"""

from collections.abc import Iterator

from ft_eval.errors import UnscoredError
from ft_eval.records import Job, TaskResult
from ft_eval.run.labels import label
from ft_eval.store import RunStore


def unscored_lines(store: RunStore) -> list[str]:
    """A line for each finished job that has some: how many, of how many, and the first one's reason."""
    return [
        f"{label(job)}: {_count(result)} could not be scored: {_reason(store, job)}"
        for job, result in _results(store)
        if result.num_unscored
    ]


def check_unscored(store: RunStore, max_share: float) -> None:
    """Hold every finished job to the share of its samples that may be unscored.

    Raises:
        UnscoredError: One has more.
    """
    over = [(job, result) for job, result in _results(store) if _share(result) > max_share]
    if not over:
        return
    job, result = max(over, key=lambda one: _share(one[1]))
    raise UnscoredError(
        f"{label(job)}: {_count(result)} could not be scored "
        f"({_share(result):.1%}; --max-unscored allows {max_share:.1%}"
        f"{f'; {len(over) - 1} more jobs are over it' if len(over) > 1 else ''}): {_reason(store, job)}; "
        f"to score them again, delete {store.path / 'jobs' / job.id / 'result.json'} and run the same command again"
    )


def _results(store: RunStore) -> Iterator[tuple[Job, TaskResult]]:
    for job in store.plan.jobs:
        if (result := store.result(job.id)) is not None:
            yield job, result


def _count(result: TaskResult) -> str:
    return f"{result.num_unscored} of {result.num_samples} samples"


def _share(result: TaskResult) -> float:
    return result.num_unscored / result.num_samples if result.num_samples else 0.0


def _reason(store: RunStore, job: Job) -> str:
    return next((sample.error for sample in store.samples(job.id) if sample.error is not None), "no reason was kept")
