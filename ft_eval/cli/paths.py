"""The type of every path that is given to a command: as click's, but an empty one is a mistake and not this folder."""

from pathlib import Path
from typing import Any

import click


class _GivenPath(click.Path):
    """A path with at least one character."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Fails as click does where there is none: an empty variable of a shell is no folder."""
        if value == "":
            self.fail("got an empty path; give one, or leave the option out", param, ctx)
        return super().convert(value, param, ctx)


PATH = _GivenPath(path_type=Path)
