"""Where datasets come from: a local folder in the hub's own layout, the hub, or, offline, an error that says which.

lm-eval 0.4.13 has no option for it: a task loads its dataset in its constructor by calling `datasets.load_dataset`. So
that one function is replaced while tasks are built. Task files, groups, tags and recorded ids stay as they are.
Knows dataset ids and folders; knows no task.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ft_eval.errors import DataError, FtEvalError
from ft_eval.harness.data_lines import files_of, named_lines
from ft_eval.harness.dataset_faults import cache_fault, of_config, reading_fault
from ft_eval.harness.manifest import RELEASE_ID, Manifest, check_files, read_manifest
from ft_eval.records import content_hash

OFFLINE_VARIABLES: Mapping[str, str] = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Environment variables that keep the hub's libraries off the network. They are read once, at import."""

MAX_ROWS = 50_000_000
MAX_BYTES = 64 * 2**30
"""Of a parquet file, unpacked."""
_MAX_NAMED = 5
_BUILDERS = frozenset({"json", "parquet", "csv", "text", "arrow"})
"""Names that `load_dataset` takes for file formats, not for repositories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """Where to look for datasets.

    Raises:
        DataError: the folder doesn't exist.
    """

    data_dir: Path | None = None
    """A folder that holds ORG/NAME folders, as a plain download of dataset repositories lays them down."""
    offline: bool = False
    """Whether the network is out of bounds."""

    def __post_init__(self) -> None:
        """Check the folder."""
        if self.data_dir is not None and not self.data_dir.is_dir():
            raise DataError(f"--data-dir {self.data_dir}: no such folder; it must hold datasets as ORG/NAME folders")

    def folder(self, dataset_id: str) -> Path | None:
        """The local folder of a dataset, or None when there is none in `data_dir`.

        An id (a task file's) can't lead out of the folder; a link that its owner has laid there can.
        """
        parts = PurePosixPath(dataset_id).parts
        if self.data_dir is None or not parts or ".." in parts or PurePosixPath(dataset_id).is_absolute():
            return None
        folder = self.data_dir.resolve().joinpath(*parts)
        return folder if folder.is_dir() else None

    def check(self, dataset_ids: Iterable[str], readers: Mapping[str, Sequence[str]] | None = None) -> None:
        """See that these datasets can be had, before the first of them is opened.

        Args:
            dataset_ids: the datasets' ids.
            readers: by dataset, the tasks that read it, so that they can be told apart from the others.

        Raises:
            DataError: offline, and some are not in the folder, all of them named; or a file is not the one that the
                folder's manifest lists.
        """
        wanted = tuple(dict.fromkeys(dataset_ids))
        missing = [one for one in wanted if self.offline and not self._is_local(one)]
        if missing:
            where = (
                f"no folder {' or '.join(missing)} in {self.data_dir}" if self.data_dir else "no --data-dir was given"
            )
            what = f"dataset {missing[0]} is" if len(missing) == 1 else f"datasets {', '.join(missing)} are"
            raise DataError(
                f"{what} not at hand: --offline and {where}; download such a dataset repository to DIR/ORG/NAME, here"
                f" DIR/{missing[0]}, and pass --data-dir DIR{_or_without(missing, readers or {})}"
            )
        self.check_files(wanted, self.manifest())

    def manifest(self) -> Manifest | None:
        """What the folder's manifest says; None where there is none. Raises DataError when it can't be read."""
        return None if self.data_dir is None else read_manifest(self.data_dir)

    def check_files(self, dataset_ids: Iterable[str], manifest: Manifest | None) -> None:
        """Hold the datasets' files, as far as the folder has them, to the sizes and digests in its manifest.

        Raises:
            DataError: one is missing, has been changed, or is not listed; it is named.
        """
        if manifest is None or self.data_dir is None:
            return
        here = [one for one in dataset_ids if one not in _BUILDERS and self.folder(one) is not None]
        releases = [RELEASE_ID] if any(one.startswith("evalplus/") for one in here) else []
        for name in (*here, *releases):
            if (repository := manifest.repository(name)) is not None:
                check_files(self.data_dir, repository, manifest.repositories)

    def revision(self, dataset: str) -> str:
        """The commit that the folder's manifest gives for a dataset; empty where there is none to be told.

        Args:
            dataset: its id, with or without a config: ORG/NAME or ORG/NAME/CONFIG.

        Raises:
            DataError: the manifest can't be read.
        """
        manifest = self.manifest()
        repositories = manifest.repositories if manifest else ()
        return next((one.revision for one in repositories if f"{dataset}/".startswith(f"{one.id}/")), "")

    def _is_local(self, dataset_id: str) -> bool:
        return dataset_id in _BUILDERS or self.folder(dataset_id) is not None or Path(dataset_id).is_dir()


def _or_without(missing: Sequence[str], readers: Mapping[str, Sequence[str]]) -> str:
    """The way out where other tasks can be run: which ones can't."""
    stopped = [task for dataset in missing for task in readers.get(dataset, ())]
    if not stopped or set(readers) <= set(missing):
        return ""
    named = ", ".join(stopped[:_MAX_NAMED]) + (f" and {len(stopped) - _MAX_NAMED} more" if stopped[_MAX_NAMED:] else "")
    return f"; or name all tasks but {named}, which read it"


def go_offline() -> None:
    """Keep the hub's libraries off the network. Call it before they are imported."""
    os.environ.update(OFFLINE_VARIABLES)


@dataclass(slots=True, kw_only=True)
class OpenedData:
    """What was opened last."""

    splits: Mapping[str, Any] | None = None
    """By name; None where it has none, or it could not be opened."""
    files: Sequence[Path] = ()
    """The local files that the task named for it."""
    all_files: dict[Path, None] = field(default_factory=dict)
    """Those of all that was opened so far, in order."""


@contextmanager
def redirected_datasets(source: DataSource) -> Iterator[OpenedData]:
    """Within this context `datasets.load_dataset` looks in `source` first; gives what it opens.

    A repository's files are looked at when it is first opened here, and not again for its other configs.

    Raises:
        DataError: a dataset that is neither in the folder nor, offline, to be had at all; a file of it that is none.
    """
    import datasets  # noqa: PLC0415 — a second of import that only building tasks needs

    original, manifest, opened = datasets.load_dataset, source.manifest(), OpenedData()
    known: dict[Path, _Repository] = {}

    def load(path: str, name: str | None, kwargs: Mapping[str, Any]) -> Any:
        folder = source.folder(path) if path not in _BUILDERS else None
        if folder is not None:
            if folder not in known:
                source.check_files([path], manifest)
                known[folder] = _repository(folder, path)
            opened.files = [file for file in of_config(known[folder].files, name) if file.suffix.startswith(".json")]
            return _load_folder(original, known[folder], name, kwargs)
        source.check([path])
        return original(path, name, **kwargs)

    def load_dataset(path: str, name: str | None = None, **kwargs: Any) -> Any:
        opened.splits, opened.files = None, files_of(kwargs.get("data_files"))
        try:
            found = load(path, name, kwargs)
        except OSError as error:
            if fault := cache_fault(error, Path(datasets.config.HF_DATASETS_CACHE)):
                raise DataError(fault) from error
            raise
        opened.splits = found if isinstance(found, Mapping) else None
        opened.all_files |= dict.fromkeys(opened.files)
        return found

    datasets.load_dataset = load_dataset
    try:
        yield opened
    finally:
        datasets.load_dataset = original


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repository:
    """A dataset's local folder, as it was when it was looked at."""

    id: str
    folder: Path
    files: tuple[Path, ...]
    cache: Path
    """Where `datasets` keeps what it makes of this folder as its files are.

    It names what it keeps after a folder's last part and its card, not after the rows: a folder whose files
    were changed, or another mirror's of the same name, would be answered with the rows of the first that was read.
    """


def _repository(folder: Path, dataset_id: str) -> _Repository:
    from datasets import config  # noqa: PLC0415 — as above

    files = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
    stats = [(str(path), found.st_size, found.st_mtime_ns, found.st_ino) for path in files for found in [path.stat()]]
    cache = Path(config.HF_DATASETS_CACHE) / "ft-eval" / content_hash([str(folder), stats])[:24]
    return _Repository(id=dataset_id, folder=folder, files=files, cache=cache)


def _load_folder(load: Any, repository: _Repository, name: str | None, kwargs: Mapping[str, Any]) -> Any:
    files = of_config(repository.files, name)
    for path in files:
        if path.suffix == ".parquet":
            _refuse_bomb(path, repository.id)
    try:
        with named_lines(lambda: (path for path in repository.files if path.suffix.startswith(".json"))):
            return load(str(repository.folder), name, **{"cache_dir": str(repository.cache), **kwargs})
    except FtEvalError:
        raise
    except Exception as error:  # a reader of a format, or of the card, may raise anything
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise
        reason = reading_fault(repository.folder, files, error)
        raise DataError(f"dataset {repository.id} in {repository.folder} can't be read: {reason}") from error


def _refuse_bomb(path: Path, dataset_id: str) -> None:
    """Raise DataError for a parquet file whose footer claims more than any benchmark has; only the footer is read."""
    import pyarrow.parquet  # noqa: PLC0415 — as `datasets` above
    from pyarrow import ArrowException  # noqa: PLC0415 — the same

    try:
        footer = pyarrow.parquet.read_metadata(path)
    except (ArrowException, OSError):  # no parquet: `datasets` says so
        return
    num_bytes = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
    if footer.num_rows > MAX_ROWS or num_bytes > MAX_BYTES:
        raise DataError(
            f"dataset {dataset_id}: {path} claims {footer.num_rows} rows of {num_bytes} bytes, and a benchmark has at "
            f"most {MAX_ROWS} of {MAX_BYTES}; it is damaged or hostile"
        )
