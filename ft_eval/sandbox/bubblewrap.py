"""The bwrap tier's outer wall: bubblewrap's command line around the fork server, and nothing else.

The same view as the ns tier's (an own root of read-only binds, no /proc, no home, no network), made by a program that
a distribution may allow where it forbids namespaces to Python. Bubblewrap's own verdicts are not asked for: one that
fails to start is an infrastructure failure. Two of its habits are met here:

- `--proc /proc` would show the launcher's environment as /proc/1/environ: there is no /proc, the environment it is
  started with is scrubbed already, and the server itself is process 1 (`--as-pid-1`).
- Folders above a bind are made closed to others when root runs it, so each is made by hand.

As root it keeps two capabilities, by which the server becomes `nobody` before it takes a program. Bubblewrap's own
process may then not signal the server, not even by its death: the owner signals the server itself, or hangs up on it.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ft_eval.sandbox.box.view import DEVICES, NUMPY_PARENT, binds, package_folders, system_links

CODE_ROOT, WORK_DIR = "/run/ft-eval", "/tmp"  # noqa: S108 (the box's own, a tmpfs)
_SCRATCH_BYTES = 256 << 20
"""Of the box's tmpfs; one program may have less, which the server sees to."""
_SANDBOX = Path(__file__).resolve().parent


def program() -> str | None:
    """Where bubblewrap is, or None."""
    return shutil.which("bwrap")


def command(bwrap: str, numpy_parent: str) -> list[str]:
    """Bubblewrap, its walls, and the interpreter to run in them; the interpreter's own arguments follow."""
    python = os.path.realpath(sys.executable)
    shown = binds(numpy_parent, NUMPY_PARENT) | {python: python}
    code = {str(_SANDBOX): f"{CODE_ROOT}/ft_eval/sandbox"}
    code[str(_SANDBOX.parent / "__init__.py")] = f"{CODE_ROOT}/ft_eval/__init__.py"
    targets = [*shown.values(), *code.values()]
    return [
        *(bwrap, *_namespaces(), "--as-pid-1", "--die-with-parent", "--hostname", "box", "--tmpfs", "/"),
        *_words(("--perms", "0755", "--dir", folder) for folder in _parents([*targets, WORK_DIR, "/dev/null"])),
        *_words(("--ro-bind", source, target) for source, target in (shown | code).items()),
        *_words(_empty(folder) for folder in package_folders(binds(numpy_parent, NUMPY_PARENT))),
        *_words(("--symlink", target, link) for link, target in system_links().items()),
        *_words(("--dev-bind", device, device) for device in DEVICES if Path(device).exists()),
        *("--perms", "1777", "--size", str(_SCRATCH_BYTES), "--tmpfs", WORK_DIR),
        *("--remount-ro", "/", "--chdir", "/", python),
    ]


def _namespaces() -> list[str]:
    if os.geteuid() != 0:
        return ["--unshare-all"]  # a user namespace among them, without any capability
    names = ("net", "pid", "ipc", "uts", "cgroup-try")
    kept = ("--cap-drop", "ALL", *_words(("--cap-add", f"CAP_{name}") for name in ("SETUID", "SETGID")))
    return [*(f"--unshare-{name}" for name in names), *kept]


def _parents(paths: Iterable[str]) -> list[str]:
    """The folders above these, from the top down."""
    found = {str(parent) for path in paths for parent in Path(path).parents} - {"/"}
    return sorted(found - set(system_links()))


def _empty(folder: str) -> tuple[str, ...]:
    return ("--perms", "0555", "--size", str(1 << 16), "--tmpfs", folder, "--remount-ro", folder)


def _words(options: Iterable[tuple[str, ...]]) -> Iterator[str]:
    return (word for option in options for word in option)
