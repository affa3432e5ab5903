"""What a finished job cost: its clocks and its memory, in a file of their own.

Two runs of the same work have the same `samples.jsonl` and the same `result.json`, byte for byte; what differs between
any two runs, and only that, stands in `cost.json`. Knows no file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ft_eval.records import SampleResult, TaskResult


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCost:
    """The content of `cost.json`."""

    started_at: str
    """UTC, ISO 8601, whole seconds."""
    seconds: float
    """See `TaskResult`."""
    peak_memory_bytes: int
    sample_seconds: tuple[float, ...]
    """Per sample, in the samples' order, its answers' share of the wall time spent on their batches."""


def job_cost(result: TaskResult, sample_seconds: Iterable[float]) -> JobCost:
    """What a result says of clocks and memory, and its samples' seconds."""
    return JobCost(
        started_at=result.started_at,
        seconds=result.seconds,
        peak_memory_bytes=result.peak_memory_bytes,
        sample_seconds=tuple(sample_seconds),
    )


def without_cost(result: TaskResult) -> TaskResult:
    """The result as it is whenever and wherever the job runs."""
    return replace(result, started_at="", seconds=0.0, peak_memory_bytes=0)


def with_cost(result: TaskResult, cost: JobCost) -> TaskResult:
    """The result as it was finished."""
    return replace(result, started_at=cost.started_at, seconds=cost.seconds, peak_memory_bytes=cost.peak_memory_bytes)


def with_seconds(samples: Iterable[tuple[int, SampleResult]], cost: JobCost | None) -> Iterator[SampleResult]:
    """The samples, each with its place among all, with what each took; as they are where nothing was kept apart."""
    seconds = () if cost is None else cost.sample_seconds
    for place, sample in samples:  # that there are as many is held by the samples' own seal, after the last one
        took = seconds[place] if place < len(seconds) else 0.0
        yield replace(sample, seconds=took) if took else sample
