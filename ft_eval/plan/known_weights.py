"""What reading a checkpoint's weights through has shown, kept between runs: a run that is done should not read 16 GB.

Good for as long as the files are untouched; see `store.remembered`. Knows no model.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ft_eval.model.weights import weight_files
from ft_eval.store.remembered import at_rest, keep, recall, stamp

_FORMAT = 1
_KIND = "weights"


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
    kept = recall(_KIND, folder)
    try:
        if kept is None or kept["format"] != _FORMAT or kept["stamp"] != _stamp(folder, config_digest):
            return None
        found = kept["weights"]
        return KnownWeights(
            digest=str(found["digest"]),
            num_parameters=int(found["num_parameters"]),
            constant=tuple(map(str, found["constant"])),
        )
    except (ValueError, KeyError, TypeError):
        return None


def remember_weights(
    folder: Path, config_digest: str, read: Callable[[], KnownWeights], *, may_keep: Callable[[], bool]
) -> KnownWeights:
    """Read the weights by `read`, and keep what it finds if the files were at rest before and meanwhile.

    `may_keep` is asked afterwards whether what was found may be kept at all.
    """
    before, now = _stamp(folder, config_digest), time.time()
    rested = at_rest(weight_files(folder), now=now)
    found = read()
    if may_keep() and rested and _stamp(folder, config_digest) == before:
        keep(_KIND, folder, {"format": _FORMAT, "stamp": before, "weights": asdict(found)})
    return found


def _stamp(folder: Path, config_digest: str) -> list[list[object]]:
    return [[config_digest], *([path.name, *stamp(path)] for path in weight_files(folder))]
