"""Scratch folders of the ll tier: made per program, watched while it runs, emptied however it left them.

A program may nest folders deeper than a path is long and take its own rights away, so nothing here recurses or follows
a link. Knows nothing of what runs.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path

MAX_ENTRIES = 2_000
_BLOCK_BYTES = 4096


def check_room(folder: str, limit_bytes: int) -> None:
    """See that a program could use all that it may. Raises OSError where the disk is too full for that."""
    found = os.statvfs(folder)
    if found.f_bavail * found.f_frsize < limit_bytes or (found.f_files and found.f_favail < MAX_ENTRIES):
        megabytes = limit_bytes / 1e6
        raise OSError(errno.ENOSPC, f"no room for {megabytes:.0f} MB in {MAX_ENTRIES} temporary files", folder)


def is_over(folder: str, limit_bytes: int) -> bool:
    """Whether the folder holds more bytes (an entry counts one block at least) or more entries than it may."""
    total, entries, pending = 0, 0, [folder]
    while pending:
        try:
            found = list(os.scandir(pending.pop()))
        except FileNotFoundError:
            continue
        except OSError:
            return True  # a path too long, or a folder closed to us: nothing honest
        for entry in found:
            total += max(_size(entry), _BLOCK_BYTES)
            entries += 1
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
        if total > limit_bytes or entries > MAX_ENTRIES:
            return True
    return False


def empty(folder: str) -> None:
    """Remove everything in the folder, walking by descriptors so that depth does not matter. Raises OSError."""
    with contextlib.suppress(PermissionError):  # a mount of somebody else's, which a program could not change either
        Path(folder).chmod(stat.S_IRWXU)
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    names: list[str] = []
    pending = [_remove_files(here)]
    try:
        while pending:
            if pending[-1]:
                name = pending[-1].pop()
                os.chmod(name, stat.S_IRWXU, dir_fd=here)
                here = _move(here, name)
                names.append(name)
                pending.append(_remove_files(here))
            elif not pending.pop() and names:
                here = _move(here, "..")
                os.rmdir(names.pop(), dir_fd=here)
    finally:
        os.close(here)


def _move(here: int, name: str) -> int:
    """A descriptor of the folder `name` as seen from `here`, which is closed."""
    there = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
    os.close(here)
    return there


def _remove_files(here: int) -> list[str]:
    """Remove what is no folder; the names of the folders that are left."""
    with os.scandir(here) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=here)
    return [name for name, is_folder in found if is_folder]


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0
