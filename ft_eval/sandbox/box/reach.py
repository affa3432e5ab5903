"""Keeps the standard library importable for a server that gave up root while Python lies in root's own home.

A folder that only root can walk to is opened before the uid is dropped; afterwards its modules are found through
/proc/self/fd. Landlock still decides what can be read there. Knows nothing else.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path


def hold(folders: Iterable[str]) -> Mapping[str, int]:
    """An O_PATH descriptor per folder that exists, longest path first."""
    existing = sorted({folder for folder in folders if Path(folder).is_dir()}, key=len, reverse=True)
    return {folder: os.open(folder, os.O_PATH | os.O_CLOEXEC) for folder in existing}


def reroute(held: Mapping[str, int]) -> tuple[int, ...]:
    """Send imports from folders that can no longer be reached through their descriptors; close and forget the others.

    Returns the descriptors in use, which must stay open.
    """
    needed = {folder: descriptor for folder, descriptor in held.items() if not os.access(folder, os.R_OK | os.X_OK)}
    for descriptor in set(held.values()) - set(needed.values()):
        os.close(descriptor)
    if needed:
        sys.path[:] = [_through(path, needed) for path in sys.path]
        for module in list(sys.modules.values()):
            path = getattr(module, "__path__", None)
            if isinstance(path, list):
                path[:] = [_through(entry, needed) for entry in path]
        sys.path_importer_cache.clear()
    return tuple(needed.values())


def _through(path: str, held: Mapping[str, int]) -> str:
    for folder, descriptor in held.items():
        if path == folder or path.startswith(f"{folder}/"):
            return f"/proc/self/fd/{descriptor}{path[len(folder) :]}"
    return path
