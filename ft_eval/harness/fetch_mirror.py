"""One repository's folder in a mirror: what it has already, what is put there, and what the manifest then says.

Nothing is overwritten that the manifest doesn't list. Knows no hub and no task.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pyarrow import ArrowException
from pyarrow.parquet import read_metadata

from ft_eval.errors import DataError
from ft_eval.harness.fetch_files import Expected, FileFacts, file_facts, inside, put_file
from ft_eval.harness.manifest import MirroredFile, MirroredRepository

Splits = Mapping[str, Mapping[str, Sequence[str]]]
"""Per config and split its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedRepository:
    """One repository, as far as one fetch went."""

    repository: MirroredRepository
    num_fetched: int
    """Files that were not there yet."""
    num_kept: int
    num_bytes_fetched: int


class RepositoryFolder:
    """A repository's folder while it is being filled."""

    def __init__(self, mirror: Path, repository_id: str, before: MirroredRepository | None) -> None:
        self._mirror, self._id = mirror, repository_id
        self._before = {file.path: file for file in before.files} if before else {}
        self._files: dict[str, MirroredFile] = {}
        self._num_fetched = self._num_bytes = 0

    def path(self, name: str) -> Path:
        """Where a file of the repository lies. Raises DataError when that is not inside the mirror."""
        return inside(self._mirror, self._id, name)

    def has(self, name: str, expected: Expected) -> bool:
        """Whether a file is there, whole.

        Raises:
            DataError: another file is there under its name, and it is none that a fetch put there.
        """
        if name in self._files:
            return True
        path = self.path(name)
        if not path.is_file():
            return False
        facts = file_facts(path)
        fault = expected.fault(facts)
        if fault and name not in self._before:
            raise DataError(
                f"{path} is there and is not what {self._id} has at this revision: {fault}; move it away, or choose"
                " another folder"
            )
        if not fault:
            self._files[name] = self._entry(name, facts)
        return not fault

    def put(self, name: str, expected: Expected, write: Callable[[BinaryIO], None]) -> None:
        """Have a file written unless it is there. Raises DataError as `has` and `put_file` do."""
        if self.has(name, expected):
            return
        facts = put_file(self.path(name), write, expected)
        self._num_fetched += 1
        self._num_bytes += facts.num_bytes
        self._files[name] = self._entry(name, facts)

    def result(self, repository: MirroredRepository) -> FetchedRepository:
        """What became of the repository."""
        return FetchedRepository(
            repository=repository,
            num_fetched=self._num_fetched,
            num_kept=len(self._files) - self._num_fetched,
            num_bytes_fetched=self._num_bytes,
        )

    @property
    def files(self) -> tuple[MirroredFile, ...]:
        """Those that this or an earlier fetch put there, by path."""
        return tuple(file for _, file in sorted({**self._before, **self._files}.items()))

    def rows(self, splits: Splits) -> dict[str, dict[str, int]]:
        """Rows per config and split, where their files are parquet."""
        found: dict[str, dict[str, int]] = {}
        for config, files in splits.items():
            for split, names in files.items():
                counts = [self._files[name].num_rows for name in names]
                if split and counts and None not in counts:
                    found.setdefault(config, {})[split] = sum(count for count in counts if count is not None)
        return found

    def _entry(self, name: str, facts: FileFacts) -> MirroredFile:
        is_parquet = name.lower().endswith(".parquet")
        num_rows = _num_rows(self.path(name)) if is_parquet else None
        return MirroredFile(path=name, num_bytes=facts.num_bytes, sha256=facts.sha256, num_rows=num_rows)


def _num_rows(path: Path) -> int:
    try:
        return int(read_metadata(path).num_rows)
    except (OSError, ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path} has the right digest and is no parquet file ({reason}); choose another revision"
        ) from error
