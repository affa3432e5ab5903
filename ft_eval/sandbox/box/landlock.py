"""Landlock: which files a process may read and write, decided by the process itself and for good.

Rights beyond what the kernel knows are left out (an older kernel guards less; `abi()` says how much). Source: Linux
`include/uapi/linux/landlock.h`. Knows nothing of tiers.
"""

import os
import stat
import struct
from collections.abc import Iterable, Iterator

from ft_eval.sandbox.box.kernel import system_call

_VERSION_FLAG = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_CHAR, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8
_MAKE_SYM, _REFER, _TRUNCATE = 1 << 12, 1 << 13, 1 << 14
_NUM_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many of the file-system rights each ABI knows; 16 from ABI 5 on."""
_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM | _REFER | _TRUNCATE
_ON_A_FILE = _READ_FILE | _WRITE_FILE | _TRUNCATE
_ALL_NET = 0b11
_ALL_SCOPES = 0b11


_RULESET_ATTRIBUTES = struct.Struct("=QQQ")
"""`struct landlock_ruleset_attr`: files, net, scoped."""
_PATH_BENEATH_ATTRIBUTES = struct.Struct("=Qi")
"""`struct landlock_path_beneath_attr`, packed: the rights allowed, a descriptor of the folder or file."""

Rule = bytes
"""A `struct landlock_path_beneath_attr` whose descriptor is open."""


def abi() -> int:
    """The kernel's Landlock version; 0 when it has none or it is switched off."""
    try:
        return system_call("landlock_create_ruleset", None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def create(version: int) -> int:
    """A descriptor of a ruleset that denies every file, TCP port, abstract socket and outward signal it knows of."""
    files = (1 << _NUM_FILE_RIGHTS.get(version, 16)) - 1
    attributes = _RULESET_ATTRIBUTES.pack(files, _ALL_NET if version >= 4 else 0, _ALL_SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    return system_call("landlock_create_ruleset", attributes, size, 0)


def hold(version: int, *, read: Iterable[str] = (), write: Iterable[str] = ()) -> tuple[Rule, ...]:
    """Rules for the paths that exist; the others are passed over. Each holds a descriptor open. Raises OSError."""
    return tuple(_rules(version, read=read, write=write))


def allow(
    ruleset: int, version: int, *, read: Iterable[str] = (), write: Iterable[str] = (), listed: Iterable[str] = ()
) -> None:
    """Allow these paths, those `listed` to be listed alone, and hold none of them open. Raises OSError."""
    for rule in _rules(version, read=read, write=write, listed=listed):
        add(ruleset, (rule,))
        os.close(_PATH_BENEATH_ATTRIBUTES.unpack(rule)[1])


def add(ruleset: int, rules: Iterable[Rule]) -> None:
    """Allow what the rules say. Raises OSError."""
    for rule in rules:
        system_call("landlock_add_rule", ruleset, _PATH_BENEATH, rule, 0)


def restrict(ruleset: int) -> None:
    """Put the calling process under the ruleset for good. Needs no_new_privs. Raises OSError."""
    system_call("landlock_restrict_self", ruleset, 0)


def _rules(
    version: int, *, read: Iterable[str] = (), write: Iterable[str] = (), listed: Iterable[str] = ()
) -> Iterator[Rule]:
    known = (1 << _NUM_FILE_RIGHTS.get(version, 16)) - 1
    for paths, rights in ((read, _READ), (write, _WRITE), (listed, _READ_DIR)):
        for path in paths:
            if (rule := _rule(path, rights & known)) is not None:
                yield rule


def _rule(path: str, rights: int) -> Rule | None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        rights &= _ON_A_FILE
    return _PATH_BENEATH_ATTRIBUTES.pack(rights, descriptor)
