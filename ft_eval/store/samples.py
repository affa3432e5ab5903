"""A finished job's samples: one line of JSON per scored document and draw, sealed by their count and digest.

The lines are plain JSON objects that any JSON Lines reader takes; the seal lies in `result.json`. Knows no run.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ft_eval.errors import StoreError
from ft_eval.records import SampleResult, TaskResult
from ft_eval.store.codec import dump, load
from ft_eval.store.files import read_lines, write_atomically


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesSeal:
    """What `samples.jsonl` was when its job was finished."""

    num_lines: int
    sha256: str
    """Over the file's bytes, hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedJob:
    """The content of `result.json`."""

    result: TaskResult
    samples: SamplesSeal


def write_samples(path: Path, samples: Iterable[SampleResult], job_id: str) -> SamplesSeal:
    """Write the samples of one job atomically, one at a time, and say what was written.

    Raises:
        StoreError: The disk is full, or a sample is not of this job.
    """
    digest, num_lines = hashlib.sha256(), 0

    def lines() -> Iterator[bytes]:
        nonlocal num_lines
        for sample in samples:
            if sample.job_id != job_id:
                raise StoreError(f"{path}: a sample of job {sample.job_id!r} can't be stored with job {job_id!r}")
            line = dump(sample, versioned=True).encode("ascii") + b"\n"
            digest.update(line)
            num_lines += 1
            yield line

    write_atomically(path, lines())
    return SamplesSeal(num_lines=num_lines, sha256=digest.hexdigest())


def read_samples(path: Path, seal: SamplesSeal, job_id: str) -> Iterator[SampleResult]:
    """The samples in the order in which they were stored.

    Raises:
        StoreError: A line is not a sample of this job (file and line are named), or, after the last one, the file is
            not what was sealed.
    """
    digest, num_lines = hashlib.sha256(), 0
    for num_lines, line in enumerate(read_lines(path), start=1):
        digest.update(line)
        yield _sample(line, f"{path}:{num_lines}", job_id)
    if SamplesSeal(num_lines=num_lines, sha256=digest.hexdigest()) != seal:
        raise StoreError(
            f"{path}: {num_lines} samples, and not the {seal.num_lines} that were stored (sha256 differs); "
            "restore the file, or delete result.json beside it and run the same command again"
        )


def _sample(line: bytes, where: str, job_id: str) -> SampleResult:
    try:
        sample = load(SampleResult, line, versioned=True)
    except StoreError as error:
        raise StoreError(f"{where}: {error}") from None
    if sample.job_id != job_id:
        raise StoreError(f"{where}: a sample of job {sample.job_id!r} in the folder of job {job_id!r}")
    return sample
