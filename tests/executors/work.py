"""Work for workers elsewhere: they import this module by its name."""

import os
import time
from dataclasses import dataclass
from pathlib import Path


class Kept:
    """A worker's state: counts what it has done, and loads."""

    def __init__(self) -> None:
        self.num_items = 0
        self.loaded: list[object] = []


@dataclass(frozen=True)
class Count:
    """An item is a number; its outcomes are (item, n) for n below it, and the process at last."""

    affinity: str = "count"
    seconds: float = 0.0

    def run(self, state, item, emit):
        state.num_items += 1
        for number in range(item):
            time.sleep(self.seconds)
            emit((item, number))
        emit(("pid", os.getpid(), state.num_items))


@dataclass(frozen=True)
class Die:
    """Ends its process at the items it is told to, each once if there is a folder to note it in."""

    folder: Path | None = None
    affinity: str = "die"

    def run(self, state, item, emit):
        mark = None if self.folder is None else self.folder / str(item)
        if item % 3 == 0 and (mark is None or not mark.exists()):
            if mark is not None:
                mark.touch()
            emit(item)
            time.sleep(0.4)  # what was emitted is told
            os._exit(9)
        emit(item)


@dataclass(frozen=True)
class Raise:
    """Raises at item 1."""

    error: Exception
    affinity: str = "raise"

    def run(self, state, item, emit):
        if item == 1:
            raise self.error
        time.sleep(0.05)
        emit(item)
