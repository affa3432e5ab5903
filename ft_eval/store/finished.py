"""One job's files in a run: what a finished job left, and whether it is still what was written.

    samples.jsonl   scored documents, one per line; its length and digest stand in result.json
    cost.json       clocks and memory, which differ from run to run when nothing else does
    result.json     scores, written last: the job is done when this exists

Knows no run and no lock: whoever calls what writes here holds it.
"""

import os
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from ft_eval.errors import StoreError
from ft_eval.records import SampleResult, TaskResult
from ft_eval.store.cost import JobCost, job_cost, with_cost, with_seconds, without_cost
from ft_eval.store.files import make_folder, one_clear_line
from ft_eval.store.samples import FinishedJob, SampleBlock, check_samples, read_blocks, read_samples, write_samples
from ft_eval.store.whole import DamagedError, read_whole, set_aside, write_whole


@dataclass(frozen=True, slots=True)
class JobFiles:
    """The folder of one job."""

    folder: Path
    job_id: str

    @property
    def responses_path(self) -> Path:
        """The log of answers."""
        return self.folder / "responses.jsonl"

    def is_done(self) -> bool:
        """Whether the result is on disk."""
        return self._result_path.is_file()

    def result(self) -> TaskResult:
        """The finished job's result.

        Raises:
            DamagedError: It is not what was written.
            StoreError: It is of another job, or can't be read.
        """
        finished = self._finished()
        cost = self._cost(finished)
        return finished.result if cost is None else with_cost(finished.result, cost)

    def samples(self, doc_ids: AbstractSet[int] | None = None) -> Iterator[SampleResult]:
        """The finished job's samples, of these documents or of all, in the order in which they were stored.

        Raises:
            DamagedError: While iterating: a line or the whole is not what was written.
            StoreError: The result can't be read.
        """
        finished = self._finished()
        samples = read_samples(self._samples_path, finished.samples, self.job_id, doc_ids)
        return with_seconds(samples, self._cost(finished))

    def sample_blocks(self) -> Iterator[SampleBlock]:
        """All samples as they lie on disk, blocks of lines in the order in which they were stored.

        Raises:
            DamagedError: After the last block: the file is not what was written.
            StoreError: The result can't be read.
        """
        finished = self._finished()
        cost = self._cost(finished)
        seconds = () if cost is None else cost.sample_seconds
        return read_blocks(self._samples_path, finished.samples, self.job_id, seconds)

    def finish(self, result: TaskResult, samples: Iterable[SampleResult]) -> None:
        """Store samples, cost and, last, the result.

        Raises:
            StoreError: The disk is full, or a sample is not of this job; the job is not done then.
        """
        make_folder(self.folder)
        seal, seconds = write_samples(self._samples_path, samples, self.job_id)
        write_whole(self._cost_path, job_cost(result, seconds))
        write_whole(self._result_path, FinishedJob(result=without_cost(result), samples=seal))

    def check(self) -> None:
        """Hold all that a finished job left to its checksums.

        Raises:
            DamagedError: A file is not what was written, or lost.
            StoreError: A file can't be read, or is of another job or a later format.
        """
        finished = self._finished()
        self._cost(finished)
        _find(self._samples_path)
        check_samples(self._samples_path, finished.samples)

    def set_aside(self) -> None:
        """Keep what a damaged job left under other names: it is not done any more, its answers are still logged."""
        for path in (self._result_path, self._cost_path, self._samples_path):  # the result first: it is the mark
            if path.is_file():
                with one_clear_line(path, "set it aside"):
                    set_aside(path)

    @property
    def _result_path(self) -> Path:
        return self.folder / "result.json"

    @property
    def _samples_path(self) -> Path:
        return self.folder / "samples.jsonl"

    @property
    def _cost_path(self) -> Path:
        return self.folder / "cost.json"

    def _finished(self) -> FinishedJob:
        finished = read_whole(self._result_path, FinishedJob)
        if finished.result.job_id != self.job_id:
            raise StoreError(
                f"{self._result_path}: the result of job {finished.result.job_id!r}, expected {self.job_id!r}"
            )
        return finished

    def _cost(self, finished: FinishedJob) -> JobCost | None:
        """What was kept apart; None where it stands in the result itself, as the first two formats had it."""
        if finished.result.started_at:
            return None
        _find(self._cost_path)
        cost = read_whole(self._cost_path, JobCost)
        if len(cost.sample_seconds) != finished.samples.num_lines:
            raise DamagedError(f"{self._cost_path}: of {len(cost.sample_seconds)} samples, not of this result's")
        return cost


def _find(path: Path) -> None:
    """Raise DamagedError where nothing stands; what is no file is refused by whoever reads it."""
    if not os.path.lexists(path):
        raise DamagedError(f"{path}: lost")
