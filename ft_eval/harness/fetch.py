"""Datasets of tasks from the hub into a mirror, at pinned commits, each file checked before it has its name.

A repository that is in the mirror stays at the commit it has. A file that is complete is not fetched again, so the same
command goes on where it was stopped. The manifest is written after each repository. Knows no command line.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ft_eval.errors import DataError, UsageError
from ft_eval.harness.fetch_cards import (
    CARD_NAME,
    Card,
    data_files,
    files_of,
    matching,
    read_card,
    wanted_configs,
)
from ft_eval.harness.fetch_files import check_room, clear_disk_errors
from ft_eval.harness.fetch_hub import Hub, HubRepository
from ft_eval.harness.fetch_mirror import FetchedRepository, RepositoryFolder, Splits
from ft_eval.harness.fetch_needs import DatasetNeed, fetch_needs
from ft_eval.harness.fetch_release import fetch_release
from ft_eval.harness.manifest import RELEASE_ID, Manifest, MirroredRepository, read_manifest, write_manifest

_MAX_CARD_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """What to fetch, and where to."""

    tasks: tuple[str, ...]
    folder: Path
    revisions: Mapping[str, str] = field(default_factory=dict)
    """Per repository id a commit, branch or tag; the others' are the mirror's own, else their main branches' newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSummary:
    """What a call of `fetch` did."""

    repositories: tuple[FetchedRepository, ...]
    bundled: tuple[str, ...]
    """Tasks that need no fetching."""


def fetch(
    options: FetchOptions, hub: Hub, on_repository: Callable[[FetchedRepository], None] = lambda _: None
) -> FetchSummary:
    """Bring a mirror to hold what some tasks need.

    Args:
        options: the tasks and the mirror.
        hub: where datasets come from.
        on_repository: told of each repository when it is complete and in the manifest.

    Raises:
        TaskError: a task is unknown, or doesn't say what it reads.
        UsageError: a revision is given for a repository that no task reads.
        DataError: whatever else; what was complete until then is in the mirror.
    """
    needs = fetch_needs(options.tasks)
    _check_revisions(options, [need.id for need in needs.datasets])
    steps = [partial(_fetch_dataset, need, options, hub) for need in needs.datasets]
    if needs.code_tasks:
        steps.append(partial(_fetch_release, needs.code_tasks, options))
    done = []
    with _held(options.folder):
        manifest = read_manifest(options.folder) or Manifest()
        for step in steps:
            fetched = step(manifest)
            updated = manifest.updated(fetched.repository)
            if updated != manifest:
                write_manifest(options.folder, updated)
            manifest = updated
            done.append(fetched)
            on_repository(fetched)
    return FetchSummary(repositories=tuple(done), bundled=needs.bundled)


def _check_revisions(options: FetchOptions, known: Sequence[str]) -> None:
    foreign = [one for one in options.revisions if one not in known]
    if foreign:
        raise UsageError(f"--revision {foreign[0]}: no task here reads it; they read {', '.join(known) or 'none'}")


def _fetch_release(tasks: Sequence[str], options: FetchOptions, manifest: Manifest) -> FetchedRepository:
    return fetch_release(tasks, options.folder, manifest.repository(RELEASE_ID))


def _fetch_dataset(need: DatasetNeed, options: FetchOptions, hub: Hub, manifest: Manifest) -> FetchedRepository:
    before = manifest.repository(need.id)
    wanted = options.revisions.get(need.id) or need.revision or (before.revision if before else None)
    found = hub.repository(need.id, wanted)
    if before is not None and before.revision != found.revision:
        raise DataError(
            f"{options.folder} has {need.id} at {before.revision}, and {found.revision} was asked for; fetch that into"
            " another folder: a mirror has one revision of a dataset"
        )
    folder = RepositoryFolder(options.folder, found.id, before)
    card = _card(found, folder, hub)
    splits = _splits(need, card, [file.path for file in found.files])
    _put_files(found, folder, hub, {name for files in splits.values() for names in files.values() for name in names})
    configs = {config for config in splits if config} | set(before.configs if before else ())
    return folder.result(
        MirroredRepository(
            id=found.id,
            revision=found.revision,
            source=hub.endpoint,
            licence=card.licence,
            configs=tuple(sorted(configs)),
            rows={**(before.rows if before else {}), **folder.rows(splits)},
            files=folder.files,
        )
    )


def _put_files(found: HubRepository, folder: RepositoryFolder, hub: Hub, names: set[str]) -> None:
    """Those files, and the licence's text where the repository has one."""
    files = [file for file in found.files if file.path in names or file.path.startswith(("LICENSE", "LICENCE"))]
    absent = [file for file in files if not folder.has(file.path, file.expected)]
    check_room(folder.path(CARD_NAME).parent, sum(file.expected.num_bytes or 0 for file in absent))
    for file in absent:
        folder.put(file.path, file.expected, partial(hub.download, found, file.path))


def _card(found: HubRepository, folder: RepositoryFolder, hub: Hub) -> Card:
    listed = next((file for file in found.files if file.path == CARD_NAME), None)
    if listed is None:
        return Card(licence="", configs=())
    if (listed.expected.num_bytes or 0) > _MAX_CARD_BYTES:
        raise DataError(f"dataset {found.id}: its {CARD_NAME} has {listed.expected.num_bytes} bytes; that is no card")
    folder.put(CARD_NAME, listed.expected, partial(hub.download, found, CARD_NAME))
    with clear_disk_errors(folder.path(CARD_NAME), "read"):
        text = folder.path(CARD_NAME).read_text(encoding="utf-8", errors="replace")
    return read_card(text, found.id)


def _splits(need: DatasetNeed, card: Card, paths: Sequence[str]) -> Splits:
    """The files that are wanted, per config and split.

    `datasets` looks at once for the files of every config whose card names none, and finds no config at all when one
    such has no file; so those are wanted, too.
    """
    found: dict[str, Mapping[str, Sequence[str]]] = {}
    if need.patterns:
        found[""] = {"": [path for pattern in need.patterns for path in matching(pattern, paths)]}
    if need.configs and not card.configs:
        found[""] = {"": [*found.get("", {}).get("", ()), *data_files(paths)]}
    chosen = wanted_configs(card, need.configs, need.id) if need.configs else ()
    eager = [config for config in card.configs if not config.patterns] if chosen else []
    found |= {config.name: files_of(config, paths) for config in (*chosen, *eager)}
    for config, files in found.items():
        if not files or not all(files.values()):
            where = f"config {config}" if config else "it"
            raise DataError(
                f"dataset {need.id}: no data files for {where} at this revision (a loading script is not supported);"
                " choose another with --revision"
            )
    return found


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The right to write a mirror; the folder is made if it isn't there, and taken away again if nothing came."""
    is_new = not folder.exists()
    with clear_disk_errors(folder, "write to"):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(f"{folder}: another fetch is writing to it; wait for its end") from error
        yield
    finally:
        os.close(handle)
        if is_new:
            with suppress(OSError):  # it holds something
                folder.rmdir()
