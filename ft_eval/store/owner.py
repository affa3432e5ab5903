"""Who holds a run: process, host, since when, and the boot it runs in. One ASCII line, in a lock's or a lease's file.

A process that is gone, or of an earlier boot of this host, holds nothing. Knows no lock.
"""

import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

MAX_OWNER_BYTES = 500
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LINE = re.compile(r"process ([0-9]{1,10}) on (\S{1,255}) since (\S{1,40})(?: boot (\S{1,64}))?\n?", flags=re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process that holds, or held, a run."""

    pid: int
    host: str
    since: str
    """UTC, ISO 8601, whole seconds."""
    boot: str = ""
    """The boot's id on Linux; empty elsewhere."""

    @classmethod
    def this_process(cls) -> Self:
        """The process that calls, from now on."""
        host = socket.gethostname().encode("ascii", "replace").decode() or "localhost"
        return cls(pid=os.getpid(), host=host, since=datetime.now(UTC).isoformat(timespec="seconds"), boot=boot_id())

    @classmethod
    def parse(cls, content: bytes) -> Self | None:
        """The owner that a file names; None where it names none."""
        found = _LINE.fullmatch(content.decode("ascii", "replace"))
        if found is None:
            return None
        return cls(pid=int(found[1]), host=found[2], since=found[3], boot=found[4] or "")

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"

    def line(self) -> bytes:
        """What its file holds."""
        return f"{self}{f' boot {self.boot}' if self.boot else ''}\n".encode("ascii")

    def is_here(self) -> bool:
        """Whether it is, or was, on this host: only there can be said whether it lives."""
        return self.host == Owner.this_process().host

    def is_gone(self) -> bool:
        """Whether it certainly lives no more. False for what can't be known: a process of another host."""
        if not self.is_here():
            return False
        if self.boot and boot_id() and self.boot != boot_id():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            return False
        return False


def boot_id() -> str:
    """This boot's id; empty where the system has none."""
    with suppress(OSError):
        return _BOOT_ID.read_text("ascii").strip()
    return ""
