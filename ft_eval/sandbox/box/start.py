"""Starts the fork server in a fresh interpreter: what it and the programs need is imported, and asks for no forks.

`threading`, `logging` and `random` have Python run a function of theirs around every fork: to take locks of other
threads over and to draw a new seed. The server has one thread and seeds each program alike, so that these would change
nothing; what they touch, a third of all pages that a child writes to, would be copied for every program.
"""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager


def main(config_text: str) -> None:
    """See `zygote.main`."""
    with _no_fork_hooks():
        importlib.import_module("ft_eval.sandbox.box.preload").preload()
        zygote = importlib.import_module("ft_eval.sandbox.box.zygote")
    zygote.main(config_text)


@contextmanager
def _no_fork_hooks() -> Iterator[None]:
    """Until the end of the `with` statement nobody who asks to be called around forks is heard."""
    register, os.register_at_fork = os.register_at_fork, lambda **_hooks: None
    try:
        yield
    finally:
        os.register_at_fork = register
