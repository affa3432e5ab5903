"""What is dear to find out about files, kept in the user's cache between runs for as long as the files are untouched.

Untouched: same size, inode, device and times of change, which the kernel sets at every write and nobody can set back.
A file changed within the last seconds is not vouched for, because a clock is not finer than that. Losing the cache
costs time and nothing else.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ft_eval.resources import user_cache_dir

SETTLED_SECONDS = 10.0
"""How long a file must have been at rest; file systems' clocks may tick in whole seconds, and a server's may be off."""

Stamp = list[int]


def stamp(path: Path) -> Stamp:
    """What changes when a file is changed. Raises OSError where there is none."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]


def at_rest(files: Iterable[Path], *, now: float | None = None) -> bool:
    """Whether all files were last changed long enough before `now`, in seconds since 1970."""
    moment = time.time() if now is None else now
    found = [path.stat() for path in files]
    return all(moment - max(one.st_mtime, one.st_ctime) > SETTLED_SECONDS for one in found)


def recall(kind: str, about: Path) -> Any:
    """What was kept of this kind about a file or folder; None where nothing was, or where it can't be read."""
    try:
        return json.loads(_file(kind, about).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def keep(kind: str, about: Path, found: object) -> None:
    """Keep it for the next run; a cache that can't be written is a slower start, nothing more."""
    path = _file(kind, about)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(found), encoding="utf-8")
        temporary.replace(path)


def _file(kind: str, about: Path) -> Path:
    name = hashlib.sha256(os.fsencode(about.resolve())).hexdigest()[:32]
    return user_cache_dir() / kind / f"{name}.json"
