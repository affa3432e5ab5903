"""What names a run: a folder, or an address such as `s3://bucket/run`. Knows no store and opens nothing."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from ft_eval.errors import UsageError
from ft_eval.resources import user_cache_dir

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{1,19})://(.*)", flags=re.DOTALL)
_PATH = re.compile(r"[^/\x00-\x20?#*\[\]\\][^\x00-\x20?#*\[\]\\]{0,900}")


@dataclass(frozen=True, slots=True)
class RunUrl:
    """The address of a run in a store that fsspec knows."""

    protocol: str
    path: str
    """Bucket and prefix, without a slash at either end."""

    def __str__(self) -> str:
        return f"{self.protocol}://{self.path}"

    @property
    def working_copy(self) -> Path:
        """The folder on this machine that belongs to the address: the run, and what is known of the store."""
        name = hashlib.sha256(str(self).encode()).hexdigest()[:16]
        return user_cache_dir() / "remote-runs" / name


def parse_place(text: str) -> Path | RunUrl:
    """A run's place as the user wrote it.

    >>> parse_place("s3://bucket/run/"), parse_place("runs/a")
    (RunUrl(protocol='s3', path='bucket/run'), PosixPath('runs/a'))

    Raises:
        UsageError: it begins as an address does and is none.
    """
    found = _URL.fullmatch(text)
    if found is None:
        return Path(text)
    path = found[2].rstrip("/")
    if not _PATH.fullmatch(path) or {"", ".", ".."} & set(path.split("/")):
        raise UsageError(f"{text!r} is no address of a run; expected one such as s3://bucket/folder/run")
    if "@" in path.split("/", maxsplit=1)[0]:
        raise UsageError("credentials don't belong in a run's address; give them as the store's own variables or files")
    return RunUrl(protocol=found[1].lower(), path=path)
