"""Where a run stands, read from its folder while it runs and after: done, under way, rate, time left, failures, owner.

The process that runs it keeps `status.json` fresh, a few numbers that are in no other file; everything else is counted
from results and logs, so that a killed run is told as exactly as one that goes on. Writes nothing but that file.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ft_eval.errors import StoreError
from ft_eval.records import Job
from ft_eval.store.codec import dump
from ft_eval.store.files import refuse_link
from ft_eval.store.lock import held_by
from ft_eval.store.owner import Owner
from ft_eval.store.run_store import RunStore
from ft_eval.store.seal import seal
from ft_eval.store.time_left import JobStatus, LiveJob, seconds_left
from ft_eval.store.whole import read_whole

STATUS_NAME = "status.json"
LOG_NAME = "run.log"
_LOG_TAIL_BYTES = 2**18
_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStatus:
    """The content of `status.json`."""

    owner: str
    updated_at: str
    """UTC, ISO 8601, whole seconds."""
    jobs: tuple[LiveJob, ...] = ()
    """Those under way."""
    paces: Mapping[str, float] = field(default_factory=dict)
    """Per task, what its last job that this process finished took, in seconds over its `job_size`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """A run at one moment."""

    path: Path
    command: str
    owner: Owner | None
    """The process that runs it now; None when none does."""
    jobs: tuple[JobStatus, ...]
    seconds_left: float | None
    """An estimate; None where nothing is measured yet, or nothing runs."""
    num_log_problems: int
    """Warnings and errors in the run's log, of all processes."""
    last_problems: tuple[str, ...]

    @property
    def num_done(self) -> int:
        """Jobs with a result."""
        return sum(job.result is not None for job in self.jobs)

    @property
    def num_unscored(self) -> int:
        """Samples of finished jobs that could not be scored."""
        return sum(job.result.num_unscored for job in self.jobs if job.result is not None)

    @property
    def state(self) -> str:
        """`done`, `running` or `stopped`."""
        if self.num_done == len(self.jobs):
            return "done"
        return "stopped" if self.owner is None else "running"


def write_live(folder: Path, status: LiveStatus) -> None:
    """Replace a run's `status.json`. It is fresh or it is nothing: never synced, and a full disk is no error here."""
    path = folder / STATUS_NAME
    temporary = folder / f".{STATUS_NAME}.tmp"
    with suppress(OSError, StoreError):
        refuse_link(temporary)
        temporary.write_bytes(seal(dump(status, versioned=True)))
        temporary.replace(path)


def read_status(folder: Path) -> RunStatus:
    """Where the run in a folder stands. Takes no lock and writes nothing.

    Raises:
        StoreError: There is no run, or what it holds is damaged.
    """
    store, owner = RunStore.open(folder), held_by(folder / "run.lock")
    live = None if owner is None else _live(folder, owner)
    jobs = tuple(_job_status(store, job, live) for job in store.plan.jobs)
    num_problems, last = _problems(folder / LOG_NAME)
    return RunStatus(
        path=folder,
        command=store.plan.command,
        owner=owner,
        jobs=jobs,
        seconds_left=None if live is None else seconds_left(jobs, live.paces),
        num_log_problems=num_problems,
        last_problems=last,
    )


def _live(folder: Path, owner: Owner) -> LiveStatus | None:
    """What the owner wrote last; None when it has not yet, or an earlier process did."""
    with suppress(StoreError):
        status = read_whole(folder / STATUS_NAME, LiveStatus)
        return status if status.owner == str(owner) else None
    return None


def _job_status(store: RunStore, job: Job, live: LiveStatus | None) -> JobStatus:
    if (result := store.result(job.id)) is not None:
        return JobStatus(job=job, result=result)
    found = next((one for one in live.jobs if one.job_id == job.id), None) if live else None
    path = store.path / "jobs" / job.id / "responses.jsonl"
    return JobStatus(job=job, num_answers=_num_lines(path), live=found)


def _num_lines(path: Path) -> int:
    """Whole lines of a log that may grow meanwhile; 0 where there is none."""
    if not path.is_file() or path.is_symlink():
        return 0
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""))


def _problems(path: Path, num_last: int = 3) -> tuple[int, tuple[str, ...]]:
    """How many warnings and errors the end of a log holds, and the last ones."""
    if not path.is_file() or path.is_symlink():
        return 0, ()
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
        lines = file.read(_LOG_TAIL_BYTES).decode("utf-8", "replace").split("\n")
    found = [line for line in lines if line[21:].startswith(("warning: ", "error: "))]
    return len(found), tuple(found[-num_last:])
