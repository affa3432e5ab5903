"""Why a dataset's folder can't be read: which of its files is at fault, or the cache of `datasets`. Knows no task."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from ft_eval.errors import NO_ROOM
from ft_eval.harness.task_files import one_line

_AGAIN = "download it again"


def of_config(files: Iterable[Path], name: str | None) -> list[Path]:
    """Those of a dataset's files whose path has its config's name; all where none is asked for."""
    return [path for path in files if name is None or name in path.as_posix()]


def reading_fault(folder: Path, files: Sequence[Path], error: BaseException) -> str:
    """What is wrong with a dataset that could not be read, and what to do.

    Args:
        folder: the dataset's.
        files: those that were read.
        error: what `datasets` raised.
    """
    if isinstance(error, yaml.YAMLError):
        return f"the front matter of {folder / 'README.md'} is no YAML: {one_line(error)}; {_AGAIN}"
    if "scripts are no longer supported" in str(error):
        return "it is a loading script, which is never run; lay down its parquet or JSON files instead"
    parquet = (fault for path in files if path.suffix == ".parquet" and (fault := _parquet_fault(path)))
    return f"{next(parquet, one_line(error))}; {_AGAIN}"


def cache_fault(error: OSError, cache: Path) -> str:
    """What to do where it is the cache of `datasets` that can't be written; empty where it is something else."""
    place = Path(str(error.filename)) if error.filename else None
    if place is None or error.errno in NO_ROOM or not (cache.is_relative_to(place) or place.is_relative_to(cache)):
        return ""
    return (
        f"the cache folder {cache} of datasets can't be written ({place}: {error.strerror}); set HF_HOME, or "
        "XDG_CACHE_HOME, to a folder that can"
    )


def _parquet_fault(path: Path) -> str:
    import pyarrow.parquet  # noqa: PLC0415 — a second of import that only reading needs
    from pyarrow import ArrowException  # noqa: PLC0415 — the same

    try:
        footer = pyarrow.parquet.read_metadata(path)
    except (ArrowException, OSError) as error:
        return f"{path}: {one_line(error)}"
    return "" if footer.num_rows else f"{path} has no rows"
