"""NumPy for programs, and nothing else of the folder it lies in. The server imports it when the first program names it.

It is half of what a fork has to copy, and few programs use it. One that gets at it without naming it (`"num" + "py"`)
imports it from disk, for itself, and finds the same: one thread, and random numbers that begin alike.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType

_SUBMODULES = ("numpy.linalg", "numpy.fft", "numpy.random", "numpy.polynomial")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Read when NumPy's libraries are loaded."""


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        """Load NumPy with one thread, and seed it."""
        os.environ.update(_ONE_THREAD)
        try:
            super().exec_module(module)
        finally:
            for name in _ONE_THREAD:
                del os.environ[name]
        module.random.seed(0)


class _Finder:
    """Finds NumPy by its full path: the folder around it is not there to be listed."""

    def __init__(self, parent: str) -> None:
        self._folder = f"{parent}/numpy"

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """NumPy's, or None."""
        if name != "numpy":
            return None
        file = f"{self._folder}/__init__.py"
        loader = _Loader(name, file)
        return importlib.util.spec_from_file_location(
            name, file, loader=loader, submodule_search_locations=[self._folder]
        )


def offer(parent: str) -> None:
    """Make the NumPy of this folder one that can be imported; none where `parent` is empty."""
    if parent:
        sys.meta_path.append(_Finder(parent))


def is_importable(parent: str, behind: Callable[[], object]) -> bool:
    """Whether NumPy is imported, or can be by a process that has put itself behind some walls: one of its own.

    Args:
        parent: as in `offer`, seen from there; empty where it has been offered.
        behind: puts that process there.
    """
    if "numpy" in sys.modules:
        return True
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            behind()
            offer(parent)
            load()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def load() -> bool:
    """Import NumPy now, if it is offered; False where that changed nothing. Raises ImportError, for whatever error."""
    if "numpy" in sys.modules or not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return False
    try:
        for name in ("numpy", *_SUBMODULES):
            importlib.import_module(name)
    except Exception as error:
        raise ImportError(f"NumPy can't be imported for programs: {type(error).__name__}: {error}") from error
    return True
