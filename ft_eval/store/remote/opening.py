"""A run at any place, to write it or to read it: its own folder, or the working copy of what is in a store.

One process at a time is at a working copy. Who reads while this machine writes sees the copy as it is, which is newer
than the store.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from ft_eval.errors import RemoteError, StoreError, remark
from ft_eval.store.files import make_folder, write_atomically
from ft_eval.store.lock import RunLock, held_by
from ft_eval.store.remote.copy import WorkingCopy
from ft_eval.store.remote.lease import LEASE_NAME, RemoteLease, living_owner
from ft_eval.store.remote.objects import Objects
from ft_eval.store.remote.pull import OnNotice, pull
from ft_eval.store.remote.push import Pusher
from ft_eval.store.remote.uploader import Uploader
from ft_eval.store.remote.url import RunUrl

_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where a run that is written is kept."""

    folder: Path
    """On this machine."""
    name: str
    """As the user calls it."""
    uploader: Uploader | None = None
    """What brings it to a store; None where the folder is the place."""

    def watch(self) -> Callable[[], list[str]]:
        """From now on the store follows the folder; what is given says what is odd, or raises. See `Uploader.check`."""
        if self.uploader is None:
            return list
        self.uploader.start()
        return self.uploader.check


def kept_at(place: Path | RunUrl, on_notice: OnNotice) -> AbstractContextManager[Kept]:
    """A run's place, to write it: it is this process's until the context ends, and then in the store.

    Raises:
        StoreError: another process writes it, it is no run and not empty, or it can't be read.
        RemoteError: the store can't be reached; on leaving, the rest is kept in the working copy.
    """
    if isinstance(place, Path):
        return nullcontext(Kept(folder=place, name=str(place)))
    return _kept_in_store(place, on_notice)


@contextmanager
def _kept_in_store(url: RunUrl, on_notice: OnNotice) -> Iterator[Kept]:
    objects = Objects(url)
    with _in_its_own_words(url), _locked(url):
        copy = WorkingCopy(url.working_copy)
        _refuse_foreign(objects)
        lease = RemoteLease.acquire(objects)
        (copy.folder / LEASE_NAME).unlink(missing_ok=True)  # as a reader left it here
        try:
            pull(objects, copy, objects.list(), on_notice, lease.beat)
            uploader = Uploader(Pusher(objects, copy), lease)
            with _sent_at_the_end(uploader, copy):
                yield Kept(folder=copy.folder, name=str(url), uploader=uploader)
        finally:
            with suppress(StoreError):
                lease.release()


@contextmanager
def _sent_at_the_end(uploader: Uploader, copy: WorkingCopy) -> Iterator[None]:
    """However the run ends, what it left goes to the store; where it can't, its own end is what is told."""
    try:
        yield
    except BaseException as end:
        try:
            uploader.finish()
        except StoreError as error:
            if error is not end:
                remark(f"{error.args[0].partition('; nothing')[0]}; the rest is kept in {copy.folder}")
        raise
    uploader.finish()


def folder_to_read(place: Path | RunUrl) -> Path:
    """A run's folder on this machine, to read it; a working copy is brought up to the store first.

    Raises:
        StoreError: there is no run, or it can't be read.
        RemoteError: the store can't be reached.
    """
    if isinstance(place, Path):
        return place
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        if held_by(place.working_copy / "run" / "run.lock") is not None:
            return place.working_copy / "run"
        try:
            lock = RunLock.acquire(_made(place.working_copy) / "copy.lock")
        except StoreError:
            if time.monotonic() > deadline:
                raise
            continue
        try:
            return _copy_to_read(place)
        finally:
            lock.release()


def _copy_to_read(url: RunUrl) -> Path:
    objects = Objects(url)
    listing = objects.list()
    if "run.json" not in listing:
        raise StoreError(f"{url}: no run here (no run.json); give the address that `ft-eval run` wrote to")
    copy = WorkingCopy(url.working_copy)
    pull(objects, copy, listing, remark)
    owner, lease = living_owner(objects) if LEASE_NAME in listing else None, copy.folder / LEASE_NAME
    if owner is None:
        lease.unlink(missing_ok=True)
    else:  # for who asks who runs it
        write_atomically(lease, [owner.line()])
    return copy.folder


def send(url: RunUrl, paths: list[Path]) -> list[str]:
    """Put files of a working copy's folder, such as a report, beside the run; their addresses. Raises as `Objects`."""
    objects, folder = Objects(url), url.working_copy / "run"
    for path in paths:
        objects.upload(path.relative_to(folder).as_posix(), path)
    return [f"{url}/{path.relative_to(folder).as_posix()}" for path in paths]


def _refuse_foreign(objects: Objects) -> None:
    listing = objects.list()
    foreign = sorted(name for name in listing if name != LEASE_NAME)
    if foreign and "run.json" not in listing:
        raise StoreError(
            f"{objects.url} is no run and not empty (it holds {foreign[0]!r}); choose a new or empty one as "
            "--output-path"
        )


@contextmanager
def _locked(url: RunUrl) -> Iterator[None]:
    """The working copy is this process's."""
    lock = RunLock.acquire(_made(url.working_copy) / "copy.lock")
    try:
        yield
    finally:
        lock.release()


def _made(folder: Path) -> Path:
    make_folder(folder)
    return folder


@contextmanager
def _in_its_own_words(url: RunUrl) -> Iterator[None]:
    """What is said of the working copy is said of the address; what this disk says stays this disk's."""
    try:
        yield
    except RemoteError:
        raise
    except StoreError as error:
        said, root = str(error), str(url.working_copy)
        if type(error).exit_code != StoreError.exit_code or root not in said:
            raise
        raise StoreError(said.replace(f"{root}/run", str(url)).replace(root, str(url))) from error
