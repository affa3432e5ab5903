"""A folder with a small package that passes for NumPy, to see how a server comes by it."""

from pathlib import Path

_PACKAGE = """
{first}
__version__ = "9.9"
class random:
    seed = staticmethod(lambda number: None)
"""


def make(parent: Path, first: str = "") -> str:
    """Write it, with `first` as its first line. Returns the folder it is imported from."""
    package = parent / "numpy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(_PACKAGE.format(first=first))
    (package / "version.py").write_text('version = "9.9"\n')
    for name in ("linalg", "fft", "polynomial", "random", "extra"):
        (package / f"{name}.py").write_text("VALUE = 7\n")
    return str(parent)
