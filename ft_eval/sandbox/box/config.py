"""What the server is told when it starts and with each program: plain JSON, no task data."""

import json
from dataclasses import asdict, dataclass

UNPRIVILEGED_ID = 65534
"""The uid and gid that root's boxes run as (`nobody`): it is mapped in every container and owns nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """How to set the server up."""

    tier: str
    control_fd: int
    work_dir: str
    """An empty folder of the server's own: the root's mount point (ns) or the home of scratch folders."""
    numpy_parent: str
    """The folder NumPy is imported from; empty to do without."""

    def dump(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> "ServerConfig":
        """The inverse of `dump`."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLimits:
    """What the kernel holds one program to, and what it is going to need."""

    memory_bytes: int
    scratch_bytes: int
    cpu_seconds: int
    """The last resort: the deadlines proper are kept from outside."""
    digest_bytes: int
    uses_numpy: bool
    """Whether the program names NumPy: no limit, but what the server had better import once for all."""

    def dump(self) -> bytes:
        """One line of JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def load(cls, text: bytes) -> "ChildLimits":
        """The inverse of `dump`."""
        return cls(**json.loads(text))
