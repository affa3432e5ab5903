"""Which folders a program may read: the standard library, NumPy, and the shared libraries under both. Nothing else.

No site-packages beyond NumPy is importable, so a score does not depend on what happens to be installed. Knows no tier.
"""

import os
import sysconfig
from pathlib import Path

_SYSTEM = (
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
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
    if numpy_parent:
        wanted += [f"{numpy_parent}/numpy", f"{numpy_parent}/numpy.libs"]
    wanted += [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder.startswith("/")]
    real = sorted({os.path.realpath(path) for path in wanted if Path(path).exists()} - {"/"})
    return tuple(path for path in real if not any(path.startswith(f"{other}/") for other in real))


def binds(numpy_parent: str, numpy_place: str) -> dict[str, str]:
    """What a root of its own shows: a tree's path here to its path there, with NumPy in the folder `numpy_place`."""
    if numpy_place == numpy_parent:
        return {tree: tree for tree in readable_trees(numpy_parent)}
    names = [name for name in ("numpy", "numpy.libs") if numpy_parent and Path(numpy_parent, name).is_dir()]
    moved = {f"{numpy_parent}/{name}": f"{numpy_place}/{name}" for name in names}
    return {tree: tree for tree in readable_trees("")} | moved


def system_links() -> dict[str, str]:
    """The top-level links that the loader goes through, such as /lib64 -> usr/lib64."""
    return {link: str(Path(link).readlink()) for link in _SYSTEM_LINKS if Path(link).is_symlink()}


def _python_trees() -> list[str]:
    """The standard library's folders, and the prefix's lib folder, where a private libpython or libssl lies."""
    library = str(Path(sysconfig.get_path("stdlib")).parent)
    return [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), library]
