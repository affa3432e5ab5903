"""The log of a job's answers: on disk the moment they exist, so that a killed run goes on where it stopped.

One line of ASCII JSON per answer, sealed by its checksum. A killed process loses no answer that `append` returned from;
a power cut at most the last 64 or those of the last second. One process writes a log at a time (the run's lock sees to
it). Knows no model and no task.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from ft_eval.closing import Closing
from ft_eval.errors import StoreError
from ft_eval.records import Answer
from ft_eval.store.codec import dump, load
from ft_eval.store.files import (
    MAX_FILE_BYTES,
    one_clear_line,
    read_lines,
    refuse_link,
    short_write,
    sync_folder,
    write_atomically,
)
from ft_eval.store.seal import is_intact, seal, unseal

_SYNC_RECORDS = 64
_SYNC_SECONDS = 1.0
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class ResponseLog(Closing):
    """Answers by key, in memory and in an append-only file. `open` it; close it, or use it as a context manager.

    On opening, what a kill or a bad disk left behind is put right and counted in `num_dropped`:

    - a torn last line (no newline) is cut off;
    - a line inside whose checksum is wrong is moved to `<name>.bad.jsonl` beside the log and its request is computed
      again;
    - a key that stands twice with one answer counts once (the seconds it took may differ);
    - a key that stands twice with different answers is refused: neither can be trusted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers: dict[str, Answer] = {}
        self._damage: Counter[str] = Counter()
        refuse_link(path)
        if path.exists():
            self._scan()
        with one_clear_line(path, "open"):
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            self._size = os.fstat(self._fd).st_size
            sync_folder(path.parent)
        self._num_unsynced = 0
        self._last_sync = time.monotonic()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a log, or start one, and put right what is damaged.

        Raises:
            StoreError: The file can't be read or written, is of another format version, or holds two answers to one
                request.
        """
        return cls(path)

    @property
    def num_dropped(self) -> int:
        """Lines that were dropped on opening: torn at the end, or damaged inside. Their requests are asked again."""
        return self._damage.total()

    @property
    def damage(self) -> str:
        """What was dropped on opening, in words; an empty string where nothing was."""
        torn, bad = self._damage["torn"], self._damage["bad"]
        words = [f"{bad} damaged line{'s'[: bad > 1]} set aside in {self.bad_path.name}" if bad else ""]
        words.append("a torn last line cut off" if torn else "")
        return ", ".join(filter(None, words))

    @property
    def bad_path(self) -> Path:
        """Where damaged lines are kept aside; absent when there never was one."""
        return self.path.with_suffix(".bad.jsonl")

    def get(self, key: str) -> Answer | None:
        """The logged answer to a request, or None when it has not been answered."""
        return self._answers.get(key)

    def __contains__(self, key: object) -> bool:
        return key in self._answers

    def __len__(self) -> int:
        return len(self._answers)

    def append(self, answer: Answer) -> None:
        """Log an answer; a kill after this returns does not lose it. The same answer again changes nothing.

        Raises:
            StoreError: There is no room (the log stays whole, the same command continues), or the key is logged with
                a different answer.
        """
        known = self._answers.get(answer.key)
        if known is not None:
            if not _same(known, answer):
                raise _contradiction(self.path, answer.key)
            return
        self._write(_line(answer))
        self._answers[answer.key] = answer
        self._num_unsynced += 1
        if self._num_unsynced >= _SYNC_RECORDS or time.monotonic() - self._last_sync >= _SYNC_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Wait until the disk has everything that was appended.

        Raises:
            StoreError: The disk can't take it.
        """
        with one_clear_line(self.path, "write"):
            _sync_data(self._fd)
        self._num_unsynced = 0
        self._last_sync = time.monotonic()

    def close(self) -> None:
        """Flush and close; closing twice is fine."""
        if self._fd < 0:
            return
        try:
            self.flush()
        finally:
            os.close(self._fd)
            self._fd = -1

    def _write(self, line: bytes) -> None:
        """One write on an append descriptor; what does not fit whole is cut off again."""
        assert self._fd >= 0, f"{self.path} is closed"
        try:
            with one_clear_line(self.path, f"write {len(line)} bytes"):
                num_written = os.write(self._fd, line)
                if num_written != len(line):  # a disk that fills up takes a part without an error
                    raise short_write(self.path, num_written, len(line))
        except StoreError:
            with suppress(OSError):  # what can't be cut off now is a torn last line when the log is next opened
                os.ftruncate(self._fd, self._size)
            raise
        self._size += len(line)

    def _scan(self) -> None:
        """Read every line into memory, then put the file right if one was damaged."""
        num_good_bytes, bad = 0, []
        for number, line in enumerate(read_lines(self.path), start=1):
            if not line.endswith(b"\n"):
                self._damage["torn"] += 1
            elif not is_intact(line):
                bad.append(line)
                self._damage["bad"] += 1
            else:
                self._take(line, number)
                num_good_bytes += len(line)
        if bad:
            self._set_aside(bad)
        elif self._damage:
            self._cut(num_good_bytes)

    def _take(self, line: bytes, number: int) -> None:
        try:
            answer = load(Answer, unseal(line), versioned=True)
        except StoreError as error:  # the checksum is right: whoever wrote this meant it
            raise StoreError(f"{self.path}:{number}: {error}") from None
        if not _same(self._answers.setdefault(answer.key, answer), answer):
            raise _contradiction(self.path, answer.key)

    def _cut(self, num_bytes: int) -> None:
        with one_clear_line(self.path, "cut off a torn last line"):
            os.truncate(self.path, num_bytes)

    def _set_aside(self, bad: list[bytes]) -> None:
        """Move damaged lines to their own file; a crash in between repeats them there and loses nothing."""
        refuse_link(self.bad_path)
        with one_clear_line(self.bad_path, "keep damaged lines aside"), self.bad_path.open("ab") as file:
            file.writelines(bad)
            file.flush()
            os.fsync(file.fileno())
        write_atomically(self.path, self._intact_lines())

    def _intact_lines(self) -> Iterator[bytes]:
        return (line for line in read_lines(self.path) if is_intact(line))


def _line(answer: Answer) -> bytes:
    line = seal(dump(answer, versioned=True))
    if len(line) > MAX_FILE_BYTES:
        raise StoreError(f"the answer to {answer.key!r} has {len(line)} bytes, {MAX_FILE_BYTES} at most can be logged")
    return line


def _same(one: Answer, other: Answer) -> bool:
    """Whether two answers say the same; how long they took may differ, and NaN equals NaN."""
    return one == other or dump(replace(one, seconds=0.0)) == dump(replace(other, seconds=0.0))


def _contradiction(path: Path, key: str) -> StoreError:
    return StoreError(
        f"{path}: two different answers to request {key!r}, so neither can be trusted; "
        "delete this file and run the same command again to compute the job's answers anew"
    )
