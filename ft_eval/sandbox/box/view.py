"""Which folders a program may read: the standard library, NumPy, and the shared libraries under both. Nothing else.

No package beyond NumPy is importable or may be read, so a score does not depend on what happens to be installed: there
may be this project, and solutions. Knows no tier.
"""

import os
import sysconfig
from collections.abc import Collection
from pathlib import Path

_SYSTEM = (
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/alternatives",  # links alone; Debian's NumPy finds its BLAS through them
    "/etc/mime.types",
    "/nix/store",
    "/gnu/store",
)
_SYSTEM_LINKS = ("/lib", "/lib32", "/lib64")
"""Links into /usr on a merged system, folders of their own elsewhere."""
NUMPY_PARENT = "/run/ft-eval/numpy"
"""Where NumPy lies in a box with a root of its own, wherever it lies outside, also under /tmp."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def readable_trees(numpy_parent: str) -> tuple[str, ...]:
    """Real paths of the folders and files a program may read, none inside another, that exist here."""
    wanted = [*_SYSTEM, *(link for link in _SYSTEM_LINKS if not Path(link).is_symlink()), *_python_trees()]
    wanted += [f"{numpy_parent}/{name}" for name in _numpy_folders(numpy_parent)]
    wanted += [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder.startswith("/")]
    real = sorted({os.path.realpath(path) for path in wanted if Path(path).exists()} - {"/"})
    return tuple(path for path in real if not any(path.startswith(f"{other}/") for other in real))


def package_folders(trees: Collection[str]) -> tuple[str, ...]:
    """Real paths of the folders of installed packages in these trees; what a link leads out to is not shown anyway."""
    patterns = [f"{python}{kind}-packages" for python in ("", "py*/") for kind in ("site", "dist")]
    found = {os.path.realpath(path) for tree in trees for pattern in patterns for path in Path(tree).glob(pattern)}
    return tuple(sorted(path for path in found if any(path.startswith(f"{tree}/") for tree in trees)))


def without_packages(trees: Collection[str], numpy_parent: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What may be read of these trees, and the folders on the way that may only be listed.

    For walls that can allow a folder with all that it holds, and can take nothing out of it.
    """
    hidden = package_folders(trees)
    read = [os.path.realpath(f"{numpy_parent}/{name}") for name in _numpy_folders(numpy_parent)]
    listed, pending = [], list(trees)
    while pending:
        tree = pending.pop()
        if not any(folder.startswith(f"{tree}/") for folder in hidden):
            read.append(tree)
            continue
        listed.append(tree)
        with os.scandir(tree) as entries:  # a link is judged by where it leads
            pending += [entry.path for entry in entries if entry.path not in hidden and not entry.is_symlink()]
    return tuple(read), tuple(listed)


def binds(numpy_parent: str, numpy_place: str) -> dict[str, str]:
    """What a root of its own shows: a tree's path here to its path there, with NumPy in the folder `numpy_place`."""
    moved = {f"{numpy_parent}/{name}": f"{numpy_place}/{name}" for name in _numpy_folders(numpy_parent)}
    return {tree: tree for tree in readable_trees("")} | moved


def system_links() -> dict[str, str]:
    """The top-level links that the loader goes through, such as /lib64 -> usr/lib64."""
    return {link: str(Path(link).readlink()) for link in _SYSTEM_LINKS if Path(link).is_symlink()}


def _numpy_folders(numpy_parent: str) -> list[str]:
    """The names of NumPy's folders that are there; none where there is no NumPy."""
    return [name for name in ("numpy", "numpy.libs") if numpy_parent and Path(numpy_parent, name).is_dir()]


def _python_trees() -> list[str]:
    """The standard library's folders, and the prefix's lib folder, where a private libpython or libssl lies."""
    library = str(Path(sysconfig.get_path("stdlib")).parent)
    return [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), library]
