"""Modules that are imported once in the server, so that no program pays for them. Any other module of the standard
library is still there to be imported from disk; this list changes speed and no answer.
"""

import importlib
import sys

_STANDARD = [
    "abc",
    "argparse",
    "array",
    "ast",
    "base64",
    "binascii",
    "bisect",
    "calendar",
    "cmath",
    "collections",
    "collections.abc",
    "colorsys",
    "contextlib",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "enum",
    "fnmatch",
    "fractions",
    "functools",
    "gc",
    "glob",
    "hashlib",
    "heapq",
    "html",
    "inspect",
    "io",
    "itertools",
    "json",
    "keyword",
    "linecache",
    "locale",
    "logging",
    "math",
    "numbers",
    "operator",
    "pathlib",
    "pprint",
    "queue",
    "random",
    "re",
    "secrets",
    "shutil",
    "signal",
    "socket",
    "statistics",
    "string",
    "struct",
    "sys",
    "tempfile",
    "textwrap",
    "threading",
    "time",
    "timeit",
    "traceback",
    "types",
    "typing",
    "unicodedata",
    "unittest",
    "urllib.parse",
    "uuid",
    "warnings",
    "weakref",
    "zlib",
]
_NUMPY = ("numpy", "numpy.linalg", "numpy.fft", "numpy.random", "numpy.polynomial")


def preload(numpy_parent: str) -> str:
    """Import the common modules. Returns NumPy's version, or an empty string where there is none.

    NumPy's random numbers are seeded here, for all programs: a fork keeps them as they are, which `random`'s are not.
    """
    for name in _STANDARD:
        importlib.import_module(name)
    if not numpy_parent:
        return ""
    sys.path.insert(0, numpy_parent)
    try:
        for name in _NUMPY:
            importlib.import_module(name)
    finally:
        sys.path.remove(numpy_parent)
    numpy = sys.modules["numpy"]
    numpy.random.seed(0)
    return str(numpy.__version__)
