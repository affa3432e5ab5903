"""What a mirror of datasets holds: repositories, revisions, files with their digests. `manifest.json` in its root.

`fetch` writes it, `DataSource` goes by it, and a mirror can be held to it without a network. A folder without one is a
mirror too, of unknown revisions. Knows no hub and no task.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ft_eval.errors import DataError, StoreError
from ft_eval.harness.fetch_files import Expected, clear_disk_errors, file_facts, put_file, safe_path
from ft_eval.harness.known_digests import known_digests
from ft_eval.store.codec import dump, load

MANIFEST_NAME = "manifest.json"
RELEASE_ID = "evalplus-release"
"""The folder of evalplus's release files, which come from no dataset repository."""
_ADVICE = f"run `ft-eval fetch` for it again, or remove {MANIFEST_NAME} to read it as it is"
_MOVE = f"move it away, or remove {MANIFEST_NAME} to read the folder as it is"
_MAX_MANIFEST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredFile:
    """One file of a repository."""

    path: str
    """In the repository, its parts joined by /."""
    num_bytes: int
    sha256: str
    num_rows: int | None = None
    """Of a parquet file; None for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredRepository:
    """One dataset repository, or as much of it as was asked for."""

    id: str
    """ORG/NAME: its folder, too."""
    revision: str
    """The commit, 40 hexadecimal digits; for evalplus's files their releases."""
    source: str
    """The address it was fetched from."""
    licence: str = ""
    """As the dataset card names it; empty where it doesn't."""
    configs: tuple[str, ...] = ()
    """Those whose files are here; empty where the card names none."""
    rows: Mapping[str, Mapping[str, int]]
    """Per config and split, where the files are parquet."""
    files: tuple[MirroredFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All repositories of a mirror, by id."""

    repositories: tuple[MirroredRepository, ...] = ()

    def repository(self, repository_id: str) -> MirroredRepository | None:
        """The repository of that id, or None."""
        return next((one for one in self.repositories if one.id == repository_id), None)

    def updated(self, repository: MirroredRepository) -> "Manifest":
        """This manifest with that repository in it, in place of an earlier state of it."""
        others = [one for one in self.repositories if one.id != repository.id]
        return Manifest(repositories=tuple(sorted([*others, repository], key=lambda one: one.id)))


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorFaults:
    """How a mirror differs from its manifest: paths in the mirror, sorted."""

    missing: tuple[str, ...]
    changed: tuple[str, ...]
    extra: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed or self.extra)


def read_manifest(folder: Path) -> Manifest | None:
    """A mirror's manifest, or None where it has none.

    Raises:
        DataError: it can't be read, or was not written by `fetch`.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    with clear_disk_errors(path, "read"):
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise DataError(f"{path} is larger than {_MAX_MANIFEST_BYTES} bytes: no manifest of `ft-eval fetch`")
        text = path.read_bytes()
    try:
        manifest = load(Manifest, text, versioned=True)
        for repository in manifest.repositories:
            safe_path(repository.id)
            for file in repository.files:
                safe_path(file.path)
    except (StoreError, DataError) as error:
        raise DataError(
            f"{path} is no manifest of `ft-eval fetch` that can be read ({error}); move it away, or fetch it all again"
        ) from error
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a manifest in place, whole. Raises DataError when the disk says no."""
    text = json.dumps(json.loads(dump(manifest, versioned=True)), indent=1).encode("ascii") + b"\n"

    def write(file: BinaryIO) -> None:
        file.write(text)

    put_file(folder / MANIFEST_NAME, write, Expected(num_bytes=len(text)))


def verify_mirror(folder: Path, on_file: Callable[[str], None] = lambda _: None) -> MirrorFaults:
    """Read every file of a mirror and hold it to the manifest.

    Args:
        folder: the mirror's root.
        on_file: told each path before it is read.

    Raises:
        DataError: there is no manifest, or it or a file can't be read.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise DataError(f"{folder} has no {MANIFEST_NAME}; expected a mirror that `ft-eval fetch --to` made")
    listed = {f"{one.id}/{file.path}": file for one in manifest.repositories for file in one.files}
    there = set(_walk(folder)) - {MANIFEST_NAME}
    changed = []
    for name in sorted(listed.keys() & there):
        on_file(name)
        facts = file_facts(folder / name)
        if (facts.num_bytes, facts.sha256) != (listed[name].num_bytes, listed[name].sha256):
            changed.append(name)
    return MirrorFaults(
        missing=tuple(sorted(listed.keys() - there)),
        changed=tuple(changed),
        extra=tuple(sorted(there - listed.keys())),
    )


def check_files(folder: Path, repository: MirroredRepository, others: Iterable[MirroredRepository] = ()) -> None:
    """See that a repository's files are those that the manifest lists. Each is read once; see `known_digests`.

    Args:
        folder: the mirror's root.
        repository: what is looked at.
        others: further repositories, which may lie in its folder.

    Raises:
        DataError: one is missing, has another size or another digest, or one is there that is not listed and could be
            read as data; it is named.
    """
    _check_listed(folder, repository, repository.files)
    inner = tuple(f"{one.id}/" for one in others if one.id.startswith(f"{repository.id}/"))
    listed = {file.path for file in repository.files}
    there = _walk(folder / repository.id) if (folder / repository.id).is_dir() else ()
    for name in sorted(there):
        if name not in listed and _may_be_data(name) and not f"{repository.id}/{name}".startswith(inner):
            path = folder / repository.id / name
            raise DataError(f"{path} is not in {MANIFEST_NAME} and could be read as data; {_MOVE}")


def check_release_file(folder: Path, name: str) -> None:
    """See that one of evalplus's files is the one that the folder's manifest lists, where there is a list of them.

    Raises:
        DataError: it is another, or is not listed, or the manifest can't be read.
    """
    manifest = read_manifest(folder)
    release = None if manifest is None else manifest.repository(RELEASE_ID)
    if release is None:
        return
    files = [file for file in release.files if file.path == name]
    if not files:
        raise DataError(f"{folder / RELEASE_ID / name} is not in {MANIFEST_NAME}; {_MOVE}")
    _check_listed(folder, release, files)


def _check_listed(folder: Path, repository: MirroredRepository, files: Sequence[MirroredFile]) -> None:
    for file in files:
        path = folder / repository.id / file.path
        if not path.is_file():
            raise DataError(f"{path} is missing: {MANIFEST_NAME} lists it; {_ADVICE}")
        if (num_bytes := path.stat().st_size) != file.num_bytes:
            raise DataError(f"{path} has {num_bytes} bytes, and {MANIFEST_NAME} says {file.num_bytes}; {_ADVICE}")
    found = known_digests(folder / repository.id, [file.path for file in files])
    for file in files:
        if found[file.path] != file.sha256:
            path = folder / repository.id / file.path
            raise DataError(
                f"{path} has sha256 {found[file.path][:12]}…, and {MANIFEST_NAME} says {file.sha256[:12]}…: it was "
                f"changed; {_ADVICE}"
            )


def _may_be_data(name: str) -> bool:
    """Whether `datasets` could read a file as data, or by it choose what it reads; it reads nothing that is hidden.

    A dataset card counts: the one in a repository's root says which files are data.
    """
    *folders, last = name.split("/")
    if any(part.startswith((".", "__")) for part in folders) or last.startswith("."):
        return False
    is_about = last.upper().startswith(("LICENSE", "LICENCE")) or (last.upper().startswith("README") and folders)
    return not is_about


def _walk(folder: Path) -> Iterator[str]:
    """Every file and link below a folder, its path joined by /."""
    with clear_disk_errors(folder, "read"):
        for parent, folders, files in os.walk(folder, onerror=_raise):
            links = [name for name in folders if (Path(parent) / name).is_symlink()]
            yield from (str((Path(parent) / name).relative_to(folder).as_posix()) for name in (*files, *links))


def _raise(error: OSError) -> None:
    raise error
