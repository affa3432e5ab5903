"""Which line of a JSON-lines file of documents is no JSON: `datasets` tells its reason, but no file and no line."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ft_eval.errors import DataError
from ft_eval.harness.code_lines import parse_line, read_lines

_SUFFIXES = (".json", ".jsonl")


def files_of(data_files: Any) -> list[Path]:
    """The local files that a task's `data_files` name: one, several, or those of each split."""
    if isinstance(data_files, Mapping):
        return [file for part in data_files.values() for file in files_of(part)]
    if isinstance(data_files, str):
        return [Path(data_files)]
    return [file for part in data_files for file in files_of(part)] if isinstance(data_files, list | tuple) else []


@contextmanager
def named_lines(files: Callable[[], Iterable[Path]]) -> Iterator[None]:
    """Within this context, what reading files raises names the first bad line, where one of them has one.

    Args:
        files: is asked which files, once something is raised.

    Raises:
        DataError: that line, and why it is none. What was raised for another reason comes as it is.
    """
    from datasets.exceptions import DatasetGenerationError  # noqa: PLC0415 — as in `mirror`

    try:
        yield
    except (ValueError, StopIteration, DatasetGenerationError) as error:
        for file in files():
            if file.suffix in _SUFFIXES and file.is_file() and (fault := _first_fault(file)):
                raise DataError(f"{fault}; expected a JSON object a line, in UTF-8") from error
        raise


def _first_fault(file: Path) -> str:
    """The first line that can't be read; empty where all can, or the file is one array."""
    try:
        lines = read_lines(file, "it must be UTF-8")
    except DataError as error:
        return str(error)
    if not lines:
        return f"{file}: there is no document in it"
    if lines[0][1].lstrip().startswith("["):
        return ""
    for number, line in lines:
        try:
            row = parse_line(line)
        except ValueError as error:
            return f"{file}:{number}: {' '.join(str(error).split())[:200]}"
        if not isinstance(row, dict):
            return f"{file}:{number}: {line[:40]!r} is no object"
    return ""
