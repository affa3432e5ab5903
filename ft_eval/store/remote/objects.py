"""A run's objects in a store, by names relative to the run. The one module that knows fsspec, and s3fs behind it.

A put is atomic: an object is whole or absent. Whatever a store's library raises becomes one clear line. Knows no run.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ft_eval.errors import RemoteError, StoreError, UsageError
from ft_eval.store.files import MAX_FILE_BYTES, one_clear_line
from ft_eval.store.remote.url import RunUrl

_S3 = frozenset({"s3", "s3a"})
_S3_CLIENT: Mapping[str, Any] = {
    "retries": {"max_attempts": 3, "mode": "standard"},
    "connect_timeout": 10,
    "read_timeout": 60,
}
_NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError"})
_CLOCK = ".clock"


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as the store lists it."""

    num_bytes: int
    version: str
    """Another one when the object was put again with other content."""


class Objects:
    """The objects below a run's address.

    Raises:
        UsageError: the library for such addresses is not installed, or there is none.
    """

    def __init__(self, url: RunUrl) -> None:
        self.url = url
        self._fs = _file_system(url)
        self._root = str(self._fs._strip_protocol(str(url)))  # noqa: SLF001 — fsspec's own way to its paths

    def list(self) -> dict[str, Stored]:
        """All objects, by name.

        Raises:
            StoreError: the bucket is missing, or closed to us.
            RemoteError: the store can't be reached.
        """
        with self._clear_errors("list"):
            self._fs.invalidate_cache()
            found = self._fs.find(self._root, detail=True)
        return {name[len(self._root) + 1 :]: _stored(about) for name, about in found.items()}

    def find(self, name: str) -> Stored | None:
        """One object as it is listed; None where there is none. Raises as `list`."""
        with self._clear_errors(f"look for {name}"):
            self._fs.invalidate_cache()
            try:
                return _stored(self._fs.info(self._path(name)))
            except FileNotFoundError:
                return None

    def get(self, name: str, max_bytes: int = MAX_FILE_BYTES) -> bytes | None:
        """An object's bytes; None where there is none.

        Raises:
            StoreError: it is larger than `max_bytes`, or as `list`.
        """
        found = self.find(name)
        if found is not None and found.num_bytes > max_bytes:
            raise StoreError(f"{self.url}/{name}: {found.num_bytes} bytes, {max_bytes} at most: not of ft-eval")
        with self._clear_errors(f"read {name}"):
            try:
                return None if found is None else bytes(self._fs.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def download(self, name: str, path: Path) -> None:
        """An object's bytes into a new file of any size. Raises as `list`."""
        with one_clear_line(path, "write"):
            path.unlink(missing_ok=True)
            path.touch()
        with self._clear_errors(f"read {name}"):
            self._fs.get_file(self._path(name), str(path))

    def put(self, name: str, data: bytes) -> Stored:
        """Put an object, in place of one that is there. Raises as `list`."""
        with self._clear_errors(f"write {name}"):
            self._make_parents(name)
            self._fs.pipe_file(self._path(name), data)
        return self._after_put(name)

    def upload(self, name: str, path: Path) -> Stored:
        """Put a file of any size. Raises as `list`."""
        with self._clear_errors(f"write {name}"):
            self._make_parents(name)
            self._fs.put_file(str(path), self._path(name))
        return self._after_put(name)

    def put_new(self, name: str, data: bytes) -> bool:
        """Put an object where none is; False where one is. A store without such writes is looked at first."""
        if self.find(name) is not None:
            return False
        with self._clear_errors(f"write {name}"):
            self._make_parents(name)
            try:
                self._fs.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return self.get(name) == data  # ours, where an answer was lost on the way and the write was repeated
        return True

    def replace(self, name: str, data: bytes, version: str) -> bool:
        """Put an object in place of that version of it; False where it is no longer that one."""
        found = self.find(name)
        if found is None or found.version != version:
            return False
        condition = {"IfMatch": version} if self.url.protocol in _S3 else {}
        with self._clear_errors(f"write {name}"):
            try:
                self._fs.pipe_file(self._path(name), data, **condition)
            except OSError as error:
                if not _is_refused(error):
                    raise
                return False
        return True

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; one that is gone is fine. Raises as `list`."""
        with self._clear_errors("delete"):
            for name in names:
                try:
                    self._fs.rm_file(self._path(name))
                except FileNotFoundError:
                    continue

    def age_seconds(self, name: str) -> float:
        """Seconds since an object was put, by the store's clock; 0 where that can't be known."""
        with self._clear_errors("tell the time"):
            self._fs.pipe_file(self._path(_CLOCK), b"")
            try:
                self._fs.invalidate_cache()
                now, then = (self._fs.modified(self._path(one)) for one in (_CLOCK, name))
            except (FileNotFoundError, NotImplementedError):
                return 0.0
            finally:
                self._fs.rm_file(self._path(_CLOCK))
        return float((now - then).total_seconds())

    def refuses_second_writes(self, name: str, data: bytes) -> bool:
        """Whether the store keeps a second one from making an object that is there; `data` is what it holds."""
        with self._clear_errors(f"write {name}"):
            try:
                self._fs.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return True
        return False

    def _after_put(self, name: str) -> Stored:
        stored = self.find(name)
        if stored is None:
            raise RemoteError(f"{self.url}: {name} was put there and is not there; is somebody deleting the run?")
        return stored

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _make_parents(self, name: str) -> None:
        """Folders, where the store has any; a bucket is never made."""
        if self.url.protocol not in _S3:
            self._fs.makedirs(self._fs._parent(self._path(name)), exist_ok=True)  # noqa: SLF001 — as above

    @contextmanager
    def _clear_errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            raise _clear(error, self.url, action) from error


def _file_system(url: RunUrl) -> Any:
    """A file system of our own, which remembers no listing: what another machine wrote must be seen."""
    try:
        import fsspec  # noqa: PLC0415 — a run in a folder needs none of it

        options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
        if url.protocol in _S3:
            options["config_kwargs"] = dict(_S3_CLIENT)
        elif url.protocol == "memory":
            options = {}
        return fsspec.filesystem(url.protocol, **options)
    except ImportError as error:
        extra = "pip install 'ft-eval[s3]'" if url.protocol in _S3 else "install the package that fsspec names"
        raise UsageError(f"{url}: such addresses need a library that is not installed; {extra} ({error})") from error
    except ValueError as error:
        raise UsageError(f"{url}: {error}; expected an address such as s3://bucket/run") from error


def _stored(about: Mapping[str, Any]) -> Stored:
    marks = (about.get(key) for key in ("ETag", "etag", "md5Hash", "generation", "created", "mtime", "LastModified"))
    return Stored(num_bytes=int(about.get("size") or 0), version=str(next((mark for mark in marks if mark), "")))


def _is_refused(error: OSError) -> bool:
    """Whether a write was refused because its condition did not hold."""
    response = getattr(error.__cause__, "response", None) or {}
    return response.get("Error", {}).get("Code") in {"PreconditionFailed", "ConditionalRequestConflict"}


def _clear(error: Exception, url: RunUrl, action: str) -> StoreError:
    """What a store's library raised, in one line: a mistake of the user's, or a store that can't be reached now."""
    said = f"{type(error).__name__}: {error}".split("\n")[0][:300]
    is_closed = isinstance(error, PermissionError) or type(error).__name__ in _NO_CREDENTIALS
    if is_closed and "expired" not in said.lower():  # what was open a while ago can be opened again
        return StoreError(f"{url}: can't {action}: access is denied ({said}); check the store's credentials")
    if isinstance(error, FileNotFoundError):
        return StoreError(f"{url}: can't {action}: no such bucket or folder ({said}); make it, or mend the address")
    return RemoteError(
        f"{url}: can't {action}: {said}; nothing answered is lost: run the same command again to continue"
    )


def wait_for_others() -> None:
    """In a store without conditional writes: as long as two that begin at once may take to see each other."""
    time.sleep(1.0)
