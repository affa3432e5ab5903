"""Lines of a JSON-lines file that may be gzipped, whatever its name says. Knows nothing of what stands in them."""

import gzip
import zlib
from pathlib import Path

from ft_eval.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"


def read_lines(path: Path, remedy: str) -> list[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1.

    Args:
        path: the file.
        remedy: what to do when it can't be read, for the error's end.

    Raises:
        DataError: no such file, a broken archive, or no UTF-8.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == _GZIP_MAGIC else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"{path} can't be read ({error}); {remedy}") from error
    return [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
