"""Removed files that a process keeps by mapping them: no folder shows them, and no descriptor stands for them.

Seen from outside, in /proc, of a process that may be looked into; where it may not, none are seen. Knows no limit on
what a file holds.
"""

from pathlib import Path

MAX_FILES = 64
_IDENTITY = slice(3, 5)
"""The fields of a mapping's line that tell files apart: device and inode."""


def holds_too_many(pidfd: int, folder: str) -> bool:
    """Whether the process of a descriptor maps more than MAX_FILES files removed from a folder of unique name."""
    inside, found = f"/{Path(folder).name}/".encode(), set()
    try:
        with Path(f"/proc/{process_id(pidfd)}/maps").open("rb") as lines:
            for line in lines:
                if line.endswith(b" (deleted)\n") and inside in line:
                    found.add(tuple(line.split(None, 5)[_IDENTITY]))
                    if len(found) > MAX_FILES:
                        return True
    except OSError:
        pass
    return False


def process_id(pidfd: int) -> int:
    """The id of a descriptor's process in the /proc that is here, whatever other namespaces call it."""
    lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))
