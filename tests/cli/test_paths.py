"""A path that is given and empty is refused: an unset variable of a shell must not come to mean this folder."""

from pathlib import Path

import click
import pytest

from ft_eval.cli.paths import PATH


def test_a_path_is_taken_as_it_is() -> None:
    assert PATH.convert("a b/ü", None, None) == Path("a b/ü")


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="got an empty path"):
        PATH.convert("", None, None)
