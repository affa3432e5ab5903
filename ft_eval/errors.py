"""The exception tree. A user's mistake is an FtEvalError: one line, exit code 2 unless said, no traceback.

Anything else that escapes is our own bug and keeps its traceback. This module knows no other module.

    FtEvalError
     + UsageError         a flag or an argument is off
     + ConfigError        checkpoints.toml is off
     + CheckpointError    a checkpoint folder can't be used
     + EngineError        the device can't do what is asked
     + TaskError          a task name, its file or its data can't be used
     + DataError          a dataset is absent, incomplete or not what it should be
     + StoreError         a run folder can't be read, written or continued
        + NoRoomError     the disk, its inodes, a quota or a file's size limit is used up (exit code 4)
        + RemoteError     the store of a run's address can't be reached now (exit code 4)
     + ExecutorError      the workers can't be had, or are lost
     + UnscoredError      too many samples of a finished run could not be scored (exit code 3)
     + SandboxError       generated code can't be run safely here (never a wrong answer)
     + ReportError        a report can't be made from these runs

What is odd but no mistake is an FtEvalWarning (`remark`): the command line shows it as one line and goes on.
"""

import difflib
import errno
import warnings
from collections.abc import Iterable

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says when a disk or its inodes, a quota, or a file's size limit is used up."""


class FtEvalError(Exception):
    """A mistake the user can mend. The message says what was got, what was expected and what to do, on one line."""

    exit_code = 2


class UsageError(FtEvalError):
    """A flag or an argument is off."""


class ConfigError(FtEvalError):
    """checkpoints.toml is off."""


class CheckpointError(FtEvalError):
    """A checkpoint folder can't be used."""


class EngineError(FtEvalError):
    """The device can't do what is asked of it."""


class TaskError(FtEvalError):
    """A task name, its file or its data can't be used."""


class DataError(FtEvalError):
    """A dataset is absent, incomplete or not what it should be."""


class StoreError(FtEvalError):
    """A run folder can't be read, written or continued."""


class NoRoomError(StoreError):
    """The disk, its inodes, a quota or a limit on a file's size is used up. What was stored until then is whole."""

    exit_code = 4


class RemoteError(StoreError):
    """The store behind a run's address can't be reached now; all is kept on this machine."""

    exit_code = 4


class ExecutorError(FtEvalError):
    """The workers can't be had, or are lost; what was answered until then is on disk."""


class UnscoredError(FtEvalError):
    """The run is finished and kept, and more of a job's samples than the stated share could not be scored."""

    exit_code = 3


class SandboxError(FtEvalError):
    """Generated code can't be run safely here. An infrastructure failure, never a wrong answer."""


class ReportError(FtEvalError):
    """A report can't be made from these runs."""


class FtEvalWarning(UserWarning):
    """Something odd that the user should know and need not mend. One line."""


def remark(text: str) -> None:
    """Say something odd by Python's own warnings."""
    warnings.warn(text, FtEvalWarning, stacklevel=2)


def did_you_mean(name: str, known: Iterable[str], *, count: int = 3) -> str:
    """The tail of an error line that names the nearest known names, or an empty string when none is near.

    >>> did_you_mean("humanevl_plus", ["humaneval_plus", "gsm8k"])
    '; did you mean humaneval_plus?'
    """
    near = difflib.get_close_matches(name, list(known), n=count, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""
