"""A run on disk.

    PATH/run.json                       the plan; written once, its time of change is the run's last activity
    PATH/run.lock                       who writes the run now
    PATH/jobs/<job id>/responses.jsonl  answers, appended the moment they exist
    PATH/jobs/<job id>/samples.jsonl    scored documents, written when the job is finished
    PATH/jobs/<job id>/cost.json        clocks and memory of the job
    PATH/jobs/<job id>/result.json      scores; the job is done when this exists

Knows no model, task or statistics. The only name from outside that becomes a part of a path is a job's id.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ft_eval.closing import Closing
from ft_eval.errors import StoreError
from ft_eval.records import RunPlan, SampleResult, TaskResult
from ft_eval.store.files import make_folder, one_clear_line, refuse_link
from ft_eval.store.finished import JobFiles
from ft_eval.store.lock import RunLock
from ft_eval.store.owner import Owner
from ft_eval.store.plan_diff import first_difference
from ft_eval.store.response_log import ResponseLog
from ft_eval.store.samples import SampleBlock
from ft_eval.store.whole import DamagedError, read_whole, set_aside, write_whole

_JOB_ID = re.compile(r"[0-9a-f]{12}")
_OURS_BEFORE_THE_PLAN = frozenset({"run.lock", "run.lease", ".run.json.tmp"})
OnNotice = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunFile:
    """The content of `run.json`; `run_id` is kept beside the plan that it is computed from as a check on it."""

    run_id: str
    plan: RunPlan


class RunStore(Closing):
    """One run's folder. `create` and `open_or_create` hold the run's lock until `close`; `open` only reads.

    Use it as a context manager.
    """

    def __init__(
        self, path: Path, plan: RunPlan, lock: RunLock | None = None, on_notice: OnNotice | None = None
    ) -> None:
        self.path = path
        self.plan = plan
        """The plan as it was stored first. A later process's engine options, environment and command may differ."""
        self.on_notice = on_notice or (lambda _: None)
        """Is told, a line each, what was found damaged and put right."""
        self._lock = lock
        self._job_ids = frozenset(job.id for job in plan.jobs)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run to read it. Nothing is written, no lock is taken: it may be running.

        Raises:
            StoreError: There is no run, or its plan can't be read.
        """
        return cls(path, _read_plan(path))

    @classmethod
    def create(cls, path: Path, plan: RunPlan) -> Self:
        """Start a run in a new or empty folder.

        Raises:
            StoreError: The folder holds a run or anything else, is in use, or can't be written.
        """
        if _is_run(path):
            raise StoreError(f"{path} already holds a run; choose another --output-path")
        return cls.open_or_create(path, plan)

    @classmethod
    def open_or_create(cls, path: Path, plan: RunPlan, on_notice: OnNotice | None = None) -> Self:
        """Continue the run in a folder when it is the same run, or start it when the folder is new or empty.

        What a bad disk did to it is found, told to `on_notice`, set aside under another name and computed again.

        Raises:
            StoreError: The folder belongs to another run (the first difference is named), holds anything else, is in
                use, or can't be written.
        """
        _refuse_foreign(path)
        make_folder(path)
        lock = RunLock.acquire(path / "run.lock")
        try:
            store = cls(path, _settle(path, plan, on_notice or (lambda _: None)), lock, on_notice)
            store._set_damage_aside()
        except BaseException:
            lock.release()
            raise
        return store

    @property
    def owner(self) -> Owner:
        """This process, as it holds the run."""
        assert self._lock is not None, f"{self.path} was opened to be read"
        return self._lock.owner

    def responses(self, job_id: str) -> ResponseLog:
        """The job's log of answers, opened and put right; the caller closes it.

        Raises:
            StoreError: See `ResponseLog.open`.
        """
        self._assert_writable()
        files = self._files(job_id)
        make_folder(files.folder)
        log = ResponseLog.open(files.responses_path)
        if log.num_dropped:
            self.on_notice(f"{log.path}: {log.damage}; what stood there is asked again")
        return log

    def is_done(self, job_id: str) -> bool:
        """Whether the job's result is on disk."""
        return self._files(job_id).is_done()

    def is_through(self) -> bool:
        """Whether every job is done, and what it left is what was written.

        Raises:
            StoreError: A file can't be read, or is damaged.
        """
        files = [self._files(job.id) for job in self.plan.jobs]
        if not all(one.is_done() for one in files):
            return False
        for one in files:
            one.check()
        return True

    def result(self, job_id: str) -> TaskResult | None:
        """The job's result, or None while it is not done.

        Raises:
            StoreError: The result is damaged, or of another job.
        """
        files = self._files(job_id)
        return files.result() if files.is_done() else None

    def samples(self, job_id: str, doc_ids: AbstractSet[int] | None = None) -> Iterator[SampleResult]:
        """The finished job's samples, of these documents or of all, in the order in which they were stored.

        Raises:
            StoreError: The job is not done, or (while iterating) a line is damaged or the file is not what was stored.
        """
        return self._finished(job_id).samples(doc_ids)

    def sample_blocks(self, job_id: str) -> Iterator[SampleBlock]:
        """All samples of the finished job, as blocks of lines that nobody decoded yet.

        Raises:
            StoreError: The job is not done, or (after the last block) the file is not what was stored.
        """
        return self._finished(job_id).sample_blocks()

    def finish(self, result: TaskResult, samples: Iterable[SampleResult]) -> None:
        """Store a job's samples and then, whole or not at all, its result: from then on the job is done.

        Raises:
            StoreError: The disk is full (the same command continues), or a sample is not of this job.
        """
        self._assert_writable()
        files = self._files(result.job_id)
        assert not files.is_done(), f"job {result.job_id} is done already"
        files.finish(result, samples)
        _touch(self.path)

    def close(self) -> None:
        """Let the next process have the run; closing twice is fine."""
        if self._lock is not None:
            self._lock.release()

    def _assert_writable(self) -> None:
        assert self._lock is not None, f"{self.path} was opened to be read"
        self._lock.assert_held()

    def _set_damage_aside(self) -> None:
        """Done jobs whose files are not what was written are not done any more."""
        for job in self.plan.jobs:
            files = self._files(job.id)
            if not files.is_done():
                continue
            try:
                files.check()
            except DamagedError as damage:
                files.set_aside()
                self.on_notice(f"{damage.what}; set aside, {job.task.name} on {job.checkpoint.name} is scored again")

    def _finished(self, job_id: str) -> JobFiles:
        files = self._files(job_id)
        if not files.is_done():
            raise StoreError(f"{files.folder}: the job is not finished; run its command again to finish it")
        return files

    def _files(self, job_id: str) -> JobFiles:
        if not _JOB_ID.fullmatch(job_id) or job_id not in self._job_ids:
            raise StoreError(f"{self.path}: no job {job_id[:40]!r} in this run")
        folder = self.path / "jobs" / job_id
        refuse_link(folder.parent)
        refuse_link(folder)
        return JobFiles(folder, job_id)


def find_latest_run(start: Path) -> Path | None:
    """The run folder that was last active: `start` itself if it is a run, else the newest of `start/*`, `start/runs/*`.

    A run is active when it is started, continued or finishes a job. None when there is no run.
    """
    if _is_run(start):
        return start
    runs = [folder for parent in (start, start / "runs") for folder in _entries(parent) if _is_run(folder)]
    return max(runs, key=lambda folder: ((folder / "run.json").stat().st_mtime_ns, folder.name), default=None)


def _settle(path: Path, plan: RunPlan, on_notice: OnNotice) -> RunPlan:
    """The stored plan of the run that is continued, or the plan stored now. The lock is held."""
    if not _is_run(path):
        _refuse_foreign(path)  # again: what was empty before the lock may not be now
        return _store(path, plan)
    try:
        stored = _read_plan(path)
    except DamagedError as damage:
        return _store_again(path, plan, damage, on_notice)
    if difference := first_difference(stored, plan):
        others = "; `ft-eval report` takes other terms" if difference.startswith(("--primary", "--margin")) else ""
        raise StoreError(f"{path} belongs to another run: {difference}; choose another --output-path{others}")
    _touch(path)
    return stored


def _store(path: Path, plan: RunPlan) -> RunPlan:
    write_whole(path / "run.json", _RunFile(run_id=plan.run_id, plan=plan))
    return plan


def _store_again(path: Path, plan: RunPlan, damage: DamagedError, on_notice: OnNotice) -> RunPlan:
    """A damaged plan is written anew where every job in the folder is one of the plan's: else it may be another run."""
    foreign = {folder.name for folder in _entries(path / "jobs")} - {job.id for job in plan.jobs}
    if foreign:
        raise StoreError(
            f"{damage.what}, and jobs/{min(foreign)} is no job of this command: choose another --output-path"
        ) from damage
    with one_clear_line(path / "run.json", "set it aside"):
        set_aside(path / "run.json")
    on_notice(f"{damage.what}; set aside and written again")
    return _store(path, plan)


def _read_plan(path: Path) -> RunPlan:
    if not _is_run(path):
        raise StoreError(f"{path}: no run here (no run.json); give the folder that `ft-eval run` wrote")
    file = read_whole(path / "run.json", _RunFile)
    if file.run_id != file.plan.run_id:
        raise StoreError(
            f"{path / 'run.json'}: run {file.run_id}, but its jobs make it {file.plan.run_id}: edited, or written by "
            "another version of ft-eval; start the run anew with another --output-path"
        )
    return file.plan


def _refuse_foreign(path: Path) -> None:
    """A folder that is neither a run nor empty is someone's: nothing is written there."""
    with one_clear_line(path, "read"):
        if not path.is_dir() or _is_run(path):
            return
        foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in _OURS_BEFORE_THE_PLAN)
    if foreign:
        raise StoreError(
            f"{path} is no run and not empty (it holds {foreign[0]!r}); choose a new or empty folder as --output-path"
        )


def _is_run(path: Path) -> bool:
    try:
        return (path / "run.json").is_file()
    except OSError:  # a folder that can't be entered
        return False


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _touch(path: Path) -> None:
    with one_clear_line(path, "write"):
        os.utime(path / "run.json")
