"""What a child does to itself before it reads a foreign byte, in the one order that works. Nothing here can be undone.

    scratch folder → session → rlimits → no_new_privs → Landlock → uid and capabilities → parent-death signal → seccomp

Landlock comes before the uid is dropped (its descriptor is the server's), the parent-death signal after (a change of
uid clears it), seccomp last (it forbids all of the above).
"""

import os
import resource
import select
import signal
from dataclasses import dataclass

from ft_eval.sandbox.box import kernel, landlock, namespaces, seccomp
from ft_eval.sandbox.box.config import UNPRIVILEGED_ID, ChildLimits

_MEBIBYTE = 1 << 20
_STACK_BYTES = 64 * _MEBIBYTE
_NUM_DESCRIPTORS = 64
"""A file that is removed while it is open is not counted in the scratch folder: so many of them there may be."""
_NO_DUMP = 1
"""The one limit at which no program of the machine's takes the dump either: it does at 0."""
_NUM_TIMERS = 256
"""POSIX timers and queued signals, which the kernel counts for all of a user's processes together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walls:
    """What the server has found and prepared."""

    tier: str
    landlock_abi: int
    """0 where the kernel has none."""
    ruleset: int = -1
    """The Landlock ruleset, made once: tier ll."""
    syscall_filter: bytes = b""
    """See `seccomp.assemble`; empty for no filter."""
    rules: tuple[landlock.Rule, ...] = ()
    """What every child's own ruleset begins with: tier ns."""
    is_root: bool = False
    """Whether the server runs as root, so that each child must drop its uid (tier ns)."""
    server_pidfd: int = -1
    """The server's own, by which a child sees whether it still lives."""
    scratch_dir: str
    """Where a child's temporary files go: a tmpfs is mounted here (ns), or the folder itself is used."""
    kept: tuple[int, ...] = ()
    """Descriptors that children need for imports (tier ll as root), in ascending order."""


def enter(walls: Walls, limits: ChildLimits) -> None:
    """Confine the calling process for good. Raises OSError when any wall can't be put up.

    Descriptors stay open, those of `walls` and new ones.
    """
    scratch = walls.scratch_dir
    owner = UNPRIVILEGED_ID if walls.is_root else os.geteuid()
    if walls.tier == "ns":
        namespaces.mount_scratch(scratch, limits.scratch_bytes, owner)
    os.chdir(scratch)
    os.umask(0o077)
    os.setsid()
    set_resource_limits(limits)
    kernel.control_process(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if walls.landlock_abi:
        _enter_landlock(walls, scratch)
    _drop_privileges(walls)
    _die_with(walls.server_pidfd)
    if walls.syscall_filter:
        seccomp.install(walls.syscall_filter, os.getpid())


def set_resource_limits(limits: ChildLimits) -> None:
    """The kernel's own limits. Address space is per process, and a program has only the one."""
    _lower(resource.RLIMIT_AS, limits.memory_bytes)
    _lower(resource.RLIMIT_FSIZE, max(limits.scratch_bytes // 4, 1))
    _lower(resource.RLIMIT_CPU, limits.cpu_seconds)
    _lower(resource.RLIMIT_NOFILE, _NUM_DESCRIPTORS)
    _lower(resource.RLIMIT_SIGPENDING, _NUM_TIMERS)
    _lower_for_now(resource.RLIMIT_STACK, _STACK_BYTES)
    _lower(resource.RLIMIT_CORE, _NO_DUMP)
    for limit in (resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE):
        _lower(limit, 0)


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (bound, bound))


def _lower_for_now(limit: int, value: int) -> None:
    """As far as the program leaves it there: programs that recurse raise their stack, of their own address space."""
    _, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _enter_landlock(walls: Walls, scratch: str) -> None:
    ruleset = walls.ruleset
    if ruleset < 0:  # ns: the scratch folder is a mount of this child's own
        ruleset = landlock.create(walls.landlock_abi)
        landlock.add(ruleset, (*walls.rules, *landlock.hold(walls.landlock_abi, write=(scratch,))))
    landlock.restrict(ruleset)


def _drop_privileges(walls: Walls) -> None:
    if walls.tier == "none":
        return
    if walls.is_root:
        become_nobody()
    kernel.drop_capabilities()
    # In ll the server looks at what it maps, and Landlock keeps others out; but not where its crash would be dumped.
    is_seen = walls.tier == "ll" and resource.getrlimit(resource.RLIMIT_CORE)[0] == _NO_DUMP
    kernel.control_process(kernel.PR_SET_DUMPABLE, int(is_seen))


def become_nobody() -> None:
    """Drop root's uid, gid and groups for good. Raises OSError."""
    os.setgroups([])
    os.setresgid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    os.setresuid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)


def _die_with(server_pidfd: int) -> None:
    """Be killed when the server dies, and end now if it died before that could be asked for."""
    kernel.control_process(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    poller = select.poll()
    poller.register(server_pidfd, select.POLLIN)
    if poller.poll(0):
        os._exit(1)
