"""What the store lacks, out of a working copy: finished files whole, the result last; answers in segments.

A segment holds whole lines, is named by where in the log it lies, and is never written twice: who finds it there is
not alone. A job's log is put whole when the job is done, and its segments go: a finished run in a store is, file for
file, a local one. Knows no thread and no clock.
"""

from pathlib import Path

from ft_eval.errors import StoreError
from ft_eval.store.files import one_clear_line
from ft_eval.store.remote.copy import BASE_NAME, FINISHED, WorkingCopy
from ft_eval.store.remote.objects import Objects
from ft_eval.store.remote.pull import Segment

_MAX_SEGMENT_BYTES = 8 * 2**20


class Pusher:
    """Puts what is new, each time it is asked. The copy is this process's, and so is the run in the store."""

    def __init__(self, objects: Objects, copy: WorkingCopy) -> None:
        self._objects = objects
        self._copy = copy
        self._sent: set[str] = set()
        self._inodes: dict[str, int] = {}

    def push(self) -> None:
        """Put what is new.

        Raises:
            RemoteError: the store can't be reached; what was put is whole, the rest is put the next time.
            StoreError: the store is closed to us, or another process writes this run.
        """
        if not self._copy.path("run.json").is_file():
            return
        self._put("run.json")
        num_before = len(self._sent)
        for folder in sorted(self._copy.path("jobs").glob("*")):
            if folder.name not in self._sent and folder.is_dir() and not folder.is_symlink():
                self._push_job(folder)
        if len(self._sent) > num_before:
            self._copy.save()

    def push_live(self) -> None:
        """Put the run's log and the state for `ft-eval status`, where they changed. Raises as `push`."""
        for name in ("run.log", "status.json"):
            if self._copy.path(name).is_file():
                self._put(name)

    def _push_job(self, folder: Path) -> None:
        job_id, is_done = folder.name, (folder / FINISHED[-1]).is_file()
        if (folder / BASE_NAME).is_file():
            self._push_log(job_id, is_done=is_done)
        if not is_done:
            return
        for path in (*(folder / name for name in FINISHED), *sorted(folder.glob("*.bad.*"))):
            self._put(f"jobs/{job_id}/{path.name}")
        self._sent.add(job_id)

    def _push_log(self, job_id: str, *, is_done: bool) -> None:
        path = self._copy.path(f"jobs/{job_id}/{BASE_NAME}")
        with one_clear_line(path, "read"):
            inode = path.stat().st_ino
        if self._inodes.setdefault(job_id, inode) != inode:  # it was put right, and is another file now
            self._inodes[job_id] = inode
            self._copy.log_ends[job_id] = None
        if is_done or self._copy.log_ends.get(job_id, 0) is None:
            self._push_whole_log(job_id, path)
        while not is_done and (data := self._new_lines(job_id, path)):
            self._push_segment(job_id, data)

    def _push_whole_log(self, job_id: str, path: Path) -> None:
        """First the log, then its segments go: of both, one is there at any time."""
        name, segments = f"jobs/{job_id}/{BASE_NAME}", self._copy.segments.get(job_id)
        if segments or not self._copy.is_same(name):
            stamp = self._copy.stamp(name)
            with one_clear_line(path, "read"):
                data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            stored = self._objects.put(name, whole)
            self._copy.log_ends[job_id] = len(whole)
            if len(whole) == stamp.num_bytes:
                self._copy.note(name, stored.version, stamp)
        else:
            self._copy.log_ends[job_id] = path.stat().st_size
        self._objects.delete(self._copy.segments.pop(job_id, []))

    def _new_lines(self, job_id: str, path: Path) -> bytes:
        with one_clear_line(path, "read"), path.open("rb") as file:
            file.seek(self._copy.log_ends.get(job_id) or 0)
            data = file.read(_MAX_SEGMENT_BYTES)
            if data and b"\n" not in data:  # one long line
                data += file.readline()
        return data[: data.rfind(b"\n") + 1]

    def _push_segment(self, job_id: str, data: bytes) -> None:
        start = self._copy.log_ends.get(job_id) or 0
        name = Segment(start, start + len(data)).name(job_id)
        if not self._objects.put_new(name, data):
            raise StoreError(
                f"{self._objects.url}: another process writes this run ({name} is there already); what this one had "
                "answered is kept"
            )
        self._copy.log_ends[job_id] = start + len(data)
        self._copy.segments.setdefault(job_id, []).append(name)

    def _put(self, name: str) -> None:
        if not self._copy.is_same(name):
            stamp = self._copy.stamp(name)
            self._copy.note(name, self._objects.upload(name, self._copy.path(name)).version, stamp)
