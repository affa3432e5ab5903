"""Modules that are imported once in the server, so that no program pays for them. Any other module of the standard
library is still there to be imported from disk; this list changes speed and no answer. Each module makes every fork
dearer, so only those are here that programs often use. NumPy has a module of its own: `numpy_import`.
"""

import importlib
import site

_STANDARD = [
    "abc",
    "array",
    "ast",
    "bisect",
    "collections",
    "collections.abc",
    "contextlib",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "gc",
    "hashlib",
    "heapq",
    "inspect",
    "io",
    "itertools",
    "json",
    "keyword",
    "math",
    "numbers",
    "operator",
    "pathlib",
    "random",
    "re",
    "signal",
    "socket",
    "statistics",
    "string",
    "struct",
    "sys",
    "tempfile",
    "threading",
    "time",
    "types",
    "typing",
    "warnings",
    "weakref",
]


def preload() -> None:
    """Import the common modules, and add what `site` adds to the builtins: it does not run in the server."""
    for name in _STANDARD:
        importlib.import_module(name)
    site.setquit()
    site.sethelper()
