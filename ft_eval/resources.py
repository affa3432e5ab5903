"""Where the package's own data lies, installed or in a checkout, and where it may keep what can be made again.

It goes by `__file__`, not by importlib.resources: in editable mode the build copies `_data/` into site-packages, where
the live checkout would not be seen. Knows nothing of what is in the folders.
"""

import os
from pathlib import Path

from ft_eval.errors import FtEvalError

_PACKAGE = Path(__file__).resolve().parent


def _data_dir(packaged: str, in_checkout: str) -> Path:
    for folder in (_PACKAGE / "_data" / packaged, _PACKAGE.parent / in_checkout):
        if folder.is_dir():
            return folder
    raise FtEvalError(f"no {packaged}/ beside {_PACKAGE}: this install of ft-eval is incomplete; install it again")


def tasks_dir() -> Path:
    """The folder of our own lm-eval task files, one folder per task."""
    return _data_dir("tasks", "tasks")


def templates_dir() -> Path:
    """The folder of the report's jinja2 templates."""
    return _data_dir("templates", "reports/templates")


def toy_dir() -> Path:
    """The folder of the shipped toy pair: `baseline/`, `latent/`, `checkpoints.toml`, its recipe and loss curves."""
    return _PACKAGE / "toy" / "pair"


def user_cache_dir() -> Path:
    """The folder for what can be made again, `$XDG_CACHE_HOME/ft-eval` or `~/.cache/ft-eval`; it may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ft-eval"
