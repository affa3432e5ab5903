"""The ns tier: own namespaces, and an own root of read-only binds with nothing else in it. No /proc, no home, no net.

As root the namespaces are made with root's own rights; as an ordinary user inside a new user namespace that maps nobody
but that user. The server enters once; each child gets its own PID and mount namespace and a fresh /tmp.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from ft_eval.sandbox.box import kernel
from ft_eval.sandbox.box.scratch import MAX_ENTRIES
from ft_eval.sandbox.box.view import DEVICES, system_links

CHILD_FLAGS = kernel.CLONE_NEWPID | kernel.CLONE_NEWNS
_SERVER_FLAGS = kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
_QUIET = kernel.MS_NOSUID | kernel.MS_NODEV


def enter(root: str, binds: Mapping[str, str], hidden: Collection[str] = ()) -> None:
    """Move the calling process into new namespaces whose root shows some trees, read-only, and nothing else.

    Args:
        root: an empty folder to build on; the caller's own view of it does not change.
        binds: a tree's path here to its path there.
        hidden: folders in the binds that are to be empty, but for the binds that lie in them.

    Raises:
        OSError: which says how.
    """
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(_SERVER_FLAGS | (kernel.CLONE_NEWUSER if uid else 0))
    if uid:
        _map_to_itself(uid, gid)
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", root, "tmpfs", _QUIET, "size=1m,mode=755")
    inner = {tree: place for tree, place in binds.items() if str(Path(place).parent) in hidden}
    for tree, place in (*(binds.items() - inner.items()), *((device, device) for device in DEVICES)):
        _bind(tree, Path(root + place))
    for link, target in system_links().items():
        Path(root + link).symlink_to(target)
    for folder in ("/tmp", "/proc", "/etc"):  # noqa: S108 (the box's own /tmp, not the host's)
        Path(root + folder).mkdir(exist_ok=True)
    for folder in hidden:
        kernel.mount("tmpfs", root + folder, "tmpfs", _QUIET, "size=64k,mode=755")
    for tree, place in inner.items():
        _bind(tree, Path(root + place))
    _pivot(root)
    kernel.make_read_only("/")


def mount_scratch(path: str, size_bytes: int, owner: int) -> None:
    """A fresh tmpfs for the calling child alone, owned by `owner`. Raises OSError."""
    group = owner if os.geteuid() == 0 else os.getegid()
    options = f"size={size_bytes},nr_inodes={MAX_ENTRIES},mode=700,uid={owner},gid={group}"
    kernel.mount("tmpfs", path, "tmpfs", _QUIET | kernel.MS_NOEXEC, options)


def _map_to_itself(uid: int, gid: int) -> None:
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")


def _bind(tree: str, target: Path) -> None:
    if not Path(tree).exists():
        return
    if Path(tree).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    kernel.mount(tree, str(target), flags=kernel.MS_BIND | kernel.MS_REC)


def _pivot(root: str) -> None:
    """Make `root` the root and let go of the old one (pivot_root over itself, as pivot_root(2) recommends)."""
    os.chdir(root)
    kernel.system_call("pivot_root", b".", b".")
    kernel.unmount_lazily(".")
    os.chdir("/")
