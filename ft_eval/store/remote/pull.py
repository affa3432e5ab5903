"""What a working copy lacks, out of the store: files as they are, logs put together from what both have.

Names in a store are from outside: only those of a run's own files are taken. What stood here and differs is kept aside
and told; of a log, answers that only this machine has stay in it. Knows no lock.
"""

import filecmp
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ft_eval.store.files import make_folder, one_clear_line, sync_folder, write_atomically
from ft_eval.store.remote.copy import BASE_NAME, FINISHED, WorkingCopy
from ft_eval.store.remote.objects import Objects, Stored
from ft_eval.store.seal import is_intact

_JOB = re.compile(
    r"jobs/([0-9a-f]{12})/((?:responses|samples)\.jsonl|(?:cost|result)\.json|responses/[0-9]{12}-[0-9]{12}\.jsonl)"
)
_SEGMENT = re.compile(r"responses/([0-9]{12})-([0-9]{12})\.jsonl")
_MAX_LOG_BYTES = 2 * 2**30
OnNotice = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a log: whole lines, from one byte of it to another."""

    start: int
    end: int

    def name(self, job_id: str) -> str:
        """The object's."""
        return f"jobs/{job_id}/responses/{self.start:012d}-{self.end:012d}.jsonl"


def pull(
    objects: Objects,
    copy: WorkingCopy,
    listing: Mapping[str, Stored],
    on_notice: OnNotice,
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Bring a working copy up to what the store holds. Nobody else is at the copy meanwhile.

    Args:
        objects: the store.
        copy: where it goes.
        listing: what the store holds.
        on_notice: is told what was kept aside.
        beat: is called now and then: a lease's sign of life.

    Raises:
        StoreError: the store or this disk fails; what was taken until then is whole.
    """
    for name in ("run.json", "status.json"):
        if name in listing:
            _take(objects, copy, name, listing[name], on_notice if name == "run.json" else _ignore)
    if "run.log" in listing and not copy.is_same("run.log", listing["run.log"].version):
        _merge_text(objects, copy, "run.log", listing["run.log"])
    for job_id, files in _jobs(listing).items():
        beat()
        make_folder(copy.folder / "jobs" / job_id)
        _pull_log(objects, copy, job_id, files)
        if FINISHED[-1] in files:
            for short in FINISHED:
                if short in files:
                    _take(objects, copy, f"jobs/{job_id}/{short}", files[short], on_notice)
    copy.save()


def _ignore(text: str) -> None:
    del text


def _jobs(listing: Mapping[str, Stored]) -> dict[str, dict[str, Stored]]:
    jobs: dict[str, dict[str, Stored]] = {}
    for name, stored in listing.items():
        if found := _JOB.fullmatch(name):
            jobs.setdefault(found[1], {})[found[2]] = stored
    return jobs


def _take(objects: Objects, copy: WorkingCopy, name: str, stored: Stored, on_notice: OnNotice) -> None:
    """One file, unless it is here."""
    if copy.is_same(name, stored.version):
        return
    path, incoming = copy.path(name), copy.root / "incoming"
    objects.download(name, incoming)
    with one_clear_line(path, "write"):
        if path.is_file() and not path.is_symlink() and filecmp.cmp(incoming, path, shallow=False):
            copy.note(name, stored.version)
            return
        if os.path.lexists(path):
            aside = copy.keep_aside(name)
            on_notice(f"{objects.url}/{name} is not what this machine had, which is kept as {aside}")
        with incoming.open("rb") as file:
            os.fsync(file.fileno())
        incoming.replace(path)
        sync_folder(path.parent)
    copy.note(name, stored.version)


def _pull_log(objects: Objects, copy: WorkingCopy, job_id: str, files: Mapping[str, Stored]) -> None:
    """A job's log: what the store has, and behind it what only this machine has."""
    name, parts = f"jobs/{job_id}/{BASE_NAME}", _log_parts(files)
    if parts.base is None and not parts.segments:
        return
    copy.segments[job_id] = [segment.name(job_id) for segment in parts.segments]
    if copy.is_same(name, parts.version):
        copy.log_ends[job_id] = copy.path(name).stat().st_size
        return
    theirs, is_clean = _read_log(objects, job_id, parts)
    ours = _bytes_here(copy.path(name))
    merged = merge_lines(theirs, ours)
    if merged != ours:
        write_atomically(copy.path(name), [merged])
    copy.log_ends[job_id] = len(theirs) if is_clean else None
    if merged == theirs and is_clean:
        copy.note(name, parts.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LogParts:
    """A log's objects: the log as it was put whole, if it was, and its segments in order."""

    base: Stored | None
    segments: tuple[Segment, ...]
    version: str


def _log_parts(files: Mapping[str, Stored]) -> _LogParts:
    base, names = files.get(BASE_NAME), sorted(short for short in files if _SEGMENT.fullmatch(short))
    segments = tuple(Segment(int(one[1]), int(one[2])) for name in names if (one := _SEGMENT.fullmatch(name)))
    versions = [files[name].version for name in (*([BASE_NAME] if base else []), *names)]
    return _LogParts(base=base, segments=segments, version=versions[0] if base and not names else repr(versions))


def _read_log(objects: Objects, job_id: str, parts: _LogParts) -> tuple[bytes, bool]:
    """The store's log, and whether its parts fit: else it is to be put whole."""
    log = _lines(objects.get(f"jobs/{job_id}/{BASE_NAME}", _MAX_LOG_BYTES)) if parts.base else b""
    is_clean = parts.base is None or len(log) == parts.base.num_bytes
    for segment in parts.segments:
        if segment.end <= len(log):  # left over of a log that was put whole since
            is_clean = False
            continue
        data = _lines(objects.get(segment.name(job_id)))
        is_clean &= segment.start == len(log) and segment.end == segment.start + len(data)
        log += data
    return log, is_clean


def _merge_text(objects: Objects, copy: WorkingCopy, name: str, stored: Stored) -> None:
    """A log for people: the store's lines, and behind them those that only this machine has."""
    theirs, ours = _lines(objects.get(name)), _lines(_bytes_here(copy.path(name)))
    merged = theirs + b"".join(_new_lines(theirs, ours))
    if merged != ours:
        write_atomically(copy.path(name), [merged])
    if merged == theirs:
        copy.note(name, stored.version)


def _bytes_here(path: Path) -> bytes:
    with one_clear_line(path, "read"):
        return path.read_bytes() if path.is_file() and not path.is_symlink() else b""


def merge_lines(theirs: bytes, ours: bytes) -> bytes:
    """One log of two: the store's, and behind it the whole and undamaged lines that only this machine has.

    >>> merge_lines(b"", b"torn")
    b''
    """
    if ours.startswith(theirs):
        return ours
    return theirs + b"".join(line for line in _new_lines(theirs, ours) if is_intact(line))


def _new_lines(theirs: bytes, ours: bytes) -> list[bytes]:
    """Our lines that are none of theirs."""
    known = set(theirs.splitlines(keepends=True))
    return [line for line in ours.splitlines(keepends=True) if line not in known]


def _lines(data: bytes | None) -> bytes:
    """Up to the last newline."""
    return b"" if data is None else data[: data.rfind(b"\n") + 1]
