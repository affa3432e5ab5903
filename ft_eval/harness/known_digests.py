"""The sha256 of a mirror's files, read once: what nobody touched is not read again. Knows no dataset."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from ft_eval.harness.fetch_files import clear_disk_errors, file_facts
from ft_eval.store.remembered import at_rest, keep, recall, stamp

_KIND = "digests"


def known_digests(folder: Path, names: Sequence[str]) -> Mapping[str, str]:
    """The digests of files of a folder, by name; from the user's cache where their stamps are those of last time.

    Raises:
        DataError: a file can't be read.
    """
    kept = _kept(folder)
    found: dict[str, str] = {}
    dear = dict(kept)
    for name in names:
        path = folder / name
        with clear_disk_errors(path, "read"):
            now = stamp(path)
            known = kept.get(name)
            found[name] = str(known[1]) if known and known[0] == now else _digest(path, tuple(now))
            if at_rest([path]):
                dear[name] = [now, found[name]]
    if dear != kept:
        keep(_KIND, folder, dear)
    return found


def _kept(folder: Path) -> dict[str, list[object]]:
    """What was kept, as far as it is what was kept."""
    kept = recall(_KIND, folder)
    rows = kept.items() if isinstance(kept, dict) else ()
    return {name: row for name, row in rows if isinstance(row, list) and len(row) == 2 and isinstance(row[1], str)}


@lru_cache(maxsize=4096)
def _digest(path: Path, _stamp: tuple[int, ...]) -> str:
    return file_facts(path).sha256
