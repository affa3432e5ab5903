"""A finished job's samples: one line of JSON per scored document and draw, sealed by their count and digest.

The lines are plain JSON objects that any JSON Lines reader takes; the seal lies in `result.json`. Who wants columns
takes blocks of lines and decodes them itself. Knows no run.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from ft_eval.errors import StoreError
from ft_eval.records import SampleResult, TaskResult
from ft_eval.store.codec import dump, load
from ft_eval.store.files import MAX_FILE_BYTES, read_lines, read_pieces, write_atomically
from ft_eval.store.whole import DamagedError

_BEGINNING = re.compile(rb'\{"format_version":[0-9]{1,4},"job_id":"[^"\\]{1,40}","doc_id":([0-9]{1,18}),')
_BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesSeal:
    """What `samples.jsonl` was when its job was finished."""

    num_lines: int
    sha256: str
    """Over the file's bytes, hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleBlock:
    """Some of a job's samples, one after another, as they lie on disk."""

    text: bytes
    """Whole lines, each with its newline; the file's last one may lack it."""
    first: int
    """The place of its first sample among the job's, from 0."""
    num_lines: int
    job_id: str
    seconds: tuple[float, ...] = ()
    """What each sample took; empty where the lines themselves say it."""
    source: str = "samples.jsonl"
    """For errors: where the lines are from."""

    def samples(self) -> list[SampleResult]:
        """Decode the lines strictly.

        Raises:
            DamagedError: A line is not a sample of this job; file and line are named.
        """
        lines = self.text.removesuffix(b"\n").split(b"\n")
        places = range(self.first + 1, self.first + 1 + len(lines))
        samples = [
            _sample(line, f"{self.source}:{place}", self.job_id) for line, place in zip(lines, places, strict=True)
        ]
        if not self.seconds:
            return samples
        return [replace(sample, seconds=took) for sample, took in zip(samples, self.seconds, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedJob:
    """The content of `result.json`."""

    result: TaskResult
    samples: SamplesSeal


def write_samples(path: Path, samples: Iterable[SampleResult], job_id: str) -> tuple[SamplesSeal, list[float]]:
    """Write the samples of one job atomically, one at a time, without the seconds that each took.

    Returns:
        What was written, and the seconds per sample.

    Raises:
        StoreError: The disk is full, or a sample is not of this job.
    """
    digest, seconds = hashlib.sha256(), list[float]()

    def lines() -> Iterator[bytes]:
        for sample in samples:
            if sample.job_id != job_id:
                raise StoreError(f"{path}: a sample of job {sample.job_id!r} can't be stored with job {job_id!r}")
            line = dump(replace(sample, seconds=0.0), versioned=True).encode("ascii") + b"\n"
            digest.update(line)
            seconds.append(sample.seconds)
            yield line

    write_atomically(path, lines())
    return SamplesSeal(num_lines=len(seconds), sha256=digest.hexdigest()), seconds


def read_samples(
    path: Path, seal: SamplesSeal, job_id: str, doc_ids: AbstractSet[int] | None = None
) -> Iterator[tuple[int, SampleResult]]:
    """The samples in the order in which they were stored, each with its place, from 0.

    Args:
        path: the file.
        seal: of it.
        job_id: the job's.
        doc_ids: the documents that are wanted; None for all. The others' lines are counted and not decoded.

    Raises:
        DamagedError: A line is not a sample of this job (file and line are named), or, after the last one, the file is
            not what was sealed.
        StoreError: The file can't be read.
    """
    digest, num_lines = hashlib.sha256(), 0
    for num_lines, line in enumerate(read_lines(path), start=1):
        digest.update(line)
        if doc_ids is None or _is_wanted(line, doc_ids):
            yield num_lines - 1, _sample(line, f"{path}:{num_lines}", job_id)
    _hold(path, SamplesSeal(num_lines=num_lines, sha256=digest.hexdigest()), seal)


def read_blocks(path: Path, seal: SamplesSeal, job_id: str, seconds: Sequence[float] = ()) -> Iterator[SampleBlock]:
    """The samples in the order in which they were stored, some megabytes of whole lines at a time, not decoded.

    Args:
        path: the file.
        seal: of it.
        job_id: the job's.
        seconds: what each sample took; empty where the lines say it.

    Raises:
        DamagedError: After the last block, the file is not what was sealed.
        StoreError: The file can't be read, or a line is longer than ft-eval writes.
    """
    digest, num_lines = hashlib.sha256(), 0
    for text in _whole_lines(path):
        digest.update(text)
        found = text.count(b"\n") + (not text.endswith(b"\n"))
        took = tuple(seconds[num_lines : num_lines + found])
        if len(took) == found or not seconds:
            yield SampleBlock(
                text=text, first=num_lines, num_lines=found, job_id=job_id, seconds=took, source=str(path)
            )
        num_lines += found
    _hold(path, SamplesSeal(num_lines=num_lines, sha256=digest.hexdigest()), seal)


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Pieces of a file that end where a line ends."""
    rest = b""
    for piece in read_pieces(path, _BLOCK_BYTES):
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            rest = piece[end:]
        else:
            rest += piece
        if len(rest) > MAX_FILE_BYTES:
            raise StoreError(f"{path}: a line of over {MAX_FILE_BYTES} bytes: not a file of ft-eval")
    if rest:
        yield rest


def _is_wanted(line: bytes, doc_ids: AbstractSet[int]) -> bool:
    """By the line's first keys; a line that begins otherwise is wanted, to be read and refused."""
    found = _BEGINNING.match(line)
    return found is None or int(found[1]) in doc_ids


def check_samples(path: Path, seal: SamplesSeal) -> None:
    """Hold the file to its seal without reading what its lines say.

    Raises:
        DamagedError: It is not what was sealed.
        StoreError: It can't be read.
    """
    digest, num_lines = hashlib.sha256(), 0
    for line in read_lines(path):
        digest.update(line)
        num_lines += 1
    _hold(path, SamplesSeal(num_lines=num_lines, sha256=digest.hexdigest()), seal)


def _hold(path: Path, found: SamplesSeal, seal: SamplesSeal) -> None:
    if found != seal:
        raise DamagedError(
            f"{path}: {found.num_lines} samples, and not the {seal.num_lines} that were stored (sha256 differs)"
        )


def _sample(line: bytes, where: str, job_id: str) -> SampleResult:
    try:
        sample = load(SampleResult, line, versioned=True)
    except StoreError as error:
        raise DamagedError(f"{where}: {error}") from None
    if sample.job_id != job_id:
        raise DamagedError(f"{where}: a sample of job {sample.job_id!r} in the folder of job {job_id!r}")
    return sample
