"""Puts the server's walls up, once, and says what they are. What each child adds is in `confine`.

NumPy is tried behind the walls first, by a process that does nothing else: where it can't be had there (a library of it
lies somewhere else), the server imports it now, in front of them.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

from ft_eval.sandbox.box import confine, kernel, landlock, namespaces, numpy_import, reach, seccomp, view
from ft_eval.sandbox.box.config import ServerConfig
from ft_eval.sandbox.box.syscall_table import architecture

_SCRATCH = "/tmp"  # noqa: S108 (a tmpfs of the child's own)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kernel:
    """What this machine's kernel offers."""

    landlock_abi: int
    syscall_filter: bytes


def put_up(config: ServerConfig) -> confine.Walls:
    """Confine the calling process as far as a server can be, for good.

    Raises OSError where a wall can't be had, and ImportError where there is a NumPy that can't be imported.
    """
    found = _kernel(config.tier)
    walls = _in_namespaces(config, found) if config.tier == "ns" else _in_place(config, found)
    _tidy(walls.scratch_dir)
    kernel.control_process(kernel.PR_SET_DUMPABLE, 0)  # where there is a /proc, nobody of the same uid gets in by it
    return walls


def describe(walls: confine.Walls) -> str:
    """What they are made of, such as `namespaces+landlock 7+seccomp+rlimits`."""
    outer = {"ns": "namespaces", "none": "no isolation", "bwrap": "bubblewrap", "docker": "container"}
    parts = [outer[walls.tier]] if walls.tier in outer else []
    if walls.tier == "ns" and not walls.is_root:
        parts = ["namespaces (user)"]
    if walls.landlock_abi:
        parts.append(f"landlock {walls.landlock_abi}")
    if walls.syscall_filter:
        parts.append("seccomp")
    return "+".join([*parts, "rlimits"])


def die_with_owner(tier: str) -> None:
    """End when the owner does. Inside bubblewrap this is process 1, with which everything in the box ends at once."""
    kernel.control_process(kernel.PR_SET_PDEATHSIG, signal.SIGKILL if tier == "bwrap" else signal.SIGTERM)


def _kernel(tier: str) -> _Kernel:
    """Landlock is the only wall of ll, and an inner one of bwrap and docker. The filter is never done without."""
    if tier == "none":
        return _Kernel(landlock_abi=0, syscall_filter=b"")
    abi, machine = landlock.abi(), architecture()
    if not abi and tier == "ll":
        raise OSError("this kernel has no Landlock (5.13 or newer with landlock in its lsm list)")
    if machine is None:
        raise OSError(f"no system call table for this processor ({os.uname().machine})")
    return _Kernel(landlock_abi=abi, syscall_filter=seccomp.assemble(machine))


def _in_namespaces(config: ServerConfig, found: _Kernel) -> confine.Walls:
    """Tier ns: a root of its own, where NumPy has a place of its own, away from the child's scratch folder."""
    namespaces.enter(config.work_dir, *_view_with_numpy(config))
    abi = found.landlock_abi
    return confine.Walls(
        tier=config.tier,
        landlock_abi=abi,
        rules=landlock.hold(abi, read=("/",), write=view.DEVICES) if abi else (),
        syscall_filter=found.syscall_filter,
        is_root=os.geteuid() == 0,
        server_pidfd=os.pidfd_open(os.getpid()),
        scratch_dir=_SCRATCH,
    )


def _view_with_numpy(config: ServerConfig) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """What the root will show, and what it will hide of that. NumPy is then offered there, or else imported."""
    here, there = config.numpy_parent, view.NUMPY_PARENT
    binds = view.binds(here, there)
    hidden = view.package_folders(binds)
    if not here or numpy_import.is_importable(there, lambda: namespaces.enter(config.work_dir, binds, hidden)):
        numpy_import.offer(there if here else "")
        return binds, hidden
    numpy_import.offer(here)
    numpy_import.load()
    binds = view.binds(here, here)
    return binds, view.package_folders(binds)


def _in_place(config: ServerConfig, found: _Kernel) -> confine.Walls:
    """The caller's own namespaces, or walls that somebody else has put up."""
    abi, ruleset = found.landlock_abi, -1
    trees = view.readable_trees(config.numpy_parent)
    if abi:
        ruleset = landlock.create(abi)
        read, listed = view.without_packages(trees, config.numpy_parent)
        landlock.allow(ruleset, abi, read=read, write=(config.work_dir, *view.DEVICES), listed=listed)
    numpy_import.offer(config.numpy_parent)
    kept = () if config.tier == "none" else _give_up_root(config.tier, (*trees, config.numpy_parent))
    if config.numpy_parent and not numpy_import.is_importable("", lambda: _restrict(ruleset)):
        numpy_import.load()
    return confine.Walls(
        tier=config.tier,
        landlock_abi=abi,
        ruleset=ruleset,
        syscall_filter=found.syscall_filter,
        server_pidfd=os.pidfd_open(os.getpid()),
        scratch_dir=config.work_dir,
        kept=kept,
    )


def _restrict(ruleset: int) -> None:
    if ruleset >= 0:
        kernel.control_process(kernel.PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict(ruleset)


def _give_up_root(tier: str, folders: tuple[str, ...]) -> tuple[int, ...]:
    if os.geteuid() != 0:
        return ()
    numpy_import.load()  # while it can be got at
    held = reach.hold(folder for folder in folders if folder)
    confine.become_nobody()
    die_with_owner(tier)  # a change of uid clears it
    return tuple(sorted(reach.reroute(held)))


def _tidy(scratch_dir: str) -> None:
    """What a program finds: an environment, arguments and a search path that say nothing of this machine's owner."""
    for name in list(os.environ):
        if name not in {"LANG", "PATH", "TZ"}:
            del os.environ[name]
    os.environ.update(HOME=scratch_dir, TMPDIR=scratch_dir)
    sys.argv[:] = sys.orig_argv[:] = ["solution"]
    tempfile.tempdir = scratch_dir
