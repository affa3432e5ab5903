"""Reading the JSON files of a checkpoint folder: bounded in size, typed field by field, every fault one clear line.

Knows no model: which fields mean what is said in `families.py`.
"""

import json
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ft_eval.errors import CheckpointError, did_you_mean

MAX_JSON_BYTES = 10 * 2**20
"""A config file is a few kB; ten MB is no config file."""
MAX_INTEGER = 2**31 - 1

_LFS_POINTER = b"version https://git-lfs"


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What goes wrong in reading a file, as a CheckpointError."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {error.strerror or error}{_owner(path, error)}") from error


def is_there(path: Path) -> bool:
    """Whether anything is at a path; links are followed.

    Raises:
        CheckpointError: a symbolic link that leads nowhere, or a folder on the way that is closed to us.
    """
    with readable(path):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            if path.is_symlink():
                raise CheckpointError(f"{path} is a symbolic link to {path.readlink()}, which is not there") from None
            return False
        except ValueError:  # a NUL in the name
            return False
    return True


def _owner(path: Path, error: OSError) -> str:
    """Whose the path is that was closed to us, and its mode; nothing for other errors."""
    if not isinstance(error, PermissionError):
        return ""
    named = Path(error.filename) if isinstance(error.filename, str) else path
    for closed in (named, *named.parents):
        try:
            status = closed.stat()
        except OSError:  # the closed folder is further up
            continue
        what = "it" if closed == path else str(closed)
        return f" ({what} belongs to user {status.st_uid} and has mode {stat.S_IMODE(status.st_mode):04o})"
    return ""


def refuse_lfs_pointer(path: Path) -> None:
    """Raise CheckpointError when a file is the few lines that Git LFS leaves in place of a file."""
    with readable(path), path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise CheckpointError(f"{path} is a Git LFS pointer, not the file itself; run `git lfs pull` in its folder")


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """The bytes of a file of at most max_bytes.

    Raises:
        CheckpointError: it is no regular file, too large, a Git LFS pointer, or can't be read.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file")
    refuse_lfs_pointer(path)
    with readable(path):
        size = path.stat().st_size
        if size > max_bytes:
            raise CheckpointError(f"{path} has {size} bytes, expected at most {max_bytes}")
        return path.read_bytes()


def read_json_object(path: Path, max_bytes: int = MAX_JSON_BYTES) -> dict[str, object]:
    """A JSON file that holds one object.

    Raises:
        CheckpointError: as `read_bounded`, or it is not JSON, or not an object.
    """
    data = read_bounded(path, max_bytes)
    try:
        value = json.loads(data, object_pairs_hook=_no_key_twice)
    except RecursionError as error:
        raise CheckpointError(f"{path} is nested too deeply for a JSON config") from error
    except ValueError as error:  # bad JSON, bad UTF-8, a number of too many digits
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a JSON {type(value).__name__}, expected an object")
    return value


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON; Python's own reader would take the last of two values without a word."""
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {_short(twice)} stands twice in one object")
    return value


class Fields:
    """A JSON object whose fields are read by type and range. A field that is null counts as absent."""

    def __init__(self, raw: Mapping[str, object], where: str) -> None:
        self.raw = raw
        self.where = where
        """What an error line calls the object, such as the path of its file."""

    def fail(self, name: str, expected: str) -> CheckpointError:
        """The error for a field that is not what was expected."""
        return CheckpointError(f"{self.where}: {name} is {_short(self.raw.get(name))}, expected {expected}")

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.raw.get(name) is not None

    def require(self, name: str) -> None:
        """Raise CheckpointError when the field is absent."""
        if not self.has(name):
            raise CheckpointError(f"{self.where}: {name} is missing{did_you_mean(name, self.raw, count=1)}")

    def integer(self, name: str, *, low: int = 1, high: int = MAX_INTEGER) -> int:
        """A required whole number from low to high."""
        self.require(name)
        value = self.raw[name]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.fail(name, f"a whole number from {low} to {high}")
        return value

    def integer_or(self, name: str, default: int, *, low: int = 1, high: int = MAX_INTEGER) -> int:
        """A whole number from low to high, or the default where the field is absent."""
        return self.integer(name, low=low, high=high) if self.has(name) else default

    def number(self, name: str, *, low: float = 0.0) -> float:
        """A required finite number above low."""
        self.require(name)
        value = self.raw[name]
        if not isinstance(value, int | float) or isinstance(value, bool) or not low < value <= sys.float_info.max:
            raise self.fail(name, f"a number above {low:g}")
        return float(value)

    def number_or(self, name: str, default: float, *, low: float = 0.0) -> float:
        """A finite number above low, or the default where the field is absent."""
        return self.number(name, low=low) if self.has(name) else default

    def flag_or(self, name: str, default: bool) -> bool:  # noqa: FBT001 - the default of a flag is a flag
        """A truth value, or the default where the field is absent."""
        value = self.raw.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fail(name, "true or false")
        return value

    def text_or(self, name: str, default: str) -> str:
        """A string, or the default where the field is absent."""
        value = self.raw.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.fail(name, "a string")
        return value

    def token_ids(self, name: str) -> tuple[int, ...]:
        """A token id or a list of them; empty where the field is absent."""
        value = self.raw.get(name)
        ids = [] if value is None else value if isinstance(value, list) else [value]
        if not all(isinstance(i, int) and not isinstance(i, bool) and 0 <= i <= MAX_INTEGER for i in ids):
            raise self.fail(name, "a token id or a list of token ids")
        return tuple(ids)

    def section(self, name: str) -> "Fields | None":
        """An object within this one, or None where the field is absent."""
        value = self.raw.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.fail(name, "an object")
        return Fields(value, f"{self.where}: {name}")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
