"""What reading a checkpoint's weights through has shown, kept between runs: a run that is done should not read 16 GB.

Kept in the user's cache, by folder, and good for as long as the files are untouched: same names, sizes, inodes and
times of change, which the kernel sets at every write and nobody can set back. Files changed within the last seconds are
not vouched for, because a clock is not finer than that. Knows no model.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ft_eval.model.weights import weight_files
from ft_eval.resources import user_cache_dir

_FORMAT = 1
_SETTLED_SECONDS = 10.0
"""How long a file must have been at rest; file systems' clocks may tick in whole seconds, and a server's may be off."""

_Stamp = list[list[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWeights:
    """What reading them has shown. Weights that are not finite are never kept: that is said anew each time."""

    digest: str
    """sha256 over the files, hexadecimal."""
    num_parameters: int
    constant: tuple[str, ...]
    """Matrices all of whose numbers are the same."""


def known_weights(folder: Path, config_digest: str) -> KnownWeights | None:
    """What was found when these very files were read before; None where they never were, or have been touched since.

    Raises:
        CheckpointError: as `weight_files`.
    """
    path, stamp = _cache_file(folder), _stamp(folder, config_digest)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["format"] != _FORMAT or kept["stamp"] != stamp:
            return None
        found = kept["weights"]
        return KnownWeights(
            digest=str(found["digest"]),
            num_parameters=int(found["num_parameters"]),
            constant=tuple(map(str, found["constant"])),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember_weights(
    folder: Path, config_digest: str, read: Callable[[], KnownWeights], *, keep: Callable[[], bool]
) -> KnownWeights:
    """Read the weights by `read`, and keep what it finds if the files were at rest before and meanwhile.

    `keep` is asked afterwards whether what was found may be kept at all.
    """
    before, now = _stamp(folder, config_digest), time.time()
    youngest = max(max(file.stat().st_mtime, file.stat().st_ctime) for file in weight_files(folder))
    found = read()
    if keep() and now - youngest > _SETTLED_SECONDS and _stamp(folder, config_digest) == before:
        _write(_cache_file(folder), {"format": _FORMAT, "stamp": before, "weights": asdict(found)})
    return found


def _write(path: Path, kept: object) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(kept), encoding="utf-8")
        temporary.replace(path)
    except OSError:  # a cache that can't be written is a slower start, nothing more
        pass


def _cache_file(folder: Path) -> Path:
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
    return user_cache_dir() / "weights" / f"{name}.json"


def _stamp(folder: Path, config_digest: str) -> _Stamp:
    files = [(path.name, path.stat()) for path in weight_files(folder)]
    states = [[n, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev] for n, s in files]
    return [[config_digest], *states]
