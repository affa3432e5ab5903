"""The hub, as far as fetching goes: what a dataset repository holds at which commit, and its files' bytes.

Every answer is from outside: commits, digests and paths are checked here, and whatever goes wrong is one clear line.
Knows no task and writes no file.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from ft_eval.errors import DataError
from ft_eval.harness.fetch_files import Expected, safe_path

DEFAULT_ENDPOINT = "https://huggingface.co"
_TIMEOUT_SECONDS = 30.0
_MAX_FILES = 50_000
"""Beyond it the hub no longer lists all; no benchmark is near."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file of a repository, as the hub lists it."""

    path: str
    expected: Expected


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRepository:
    """A dataset repository at one commit."""

    id: str
    revision: str
    """The commit, 40 hexadecimal digits."""
    files: tuple[HubFile, ...]


class Hub:
    """The hub at an address: HF_ENDPOINT, or the public one."""

    def __init__(self, endpoint: str | None = None) -> None:
        self.endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")

    def repository(self, repository_id: str, revision: str | None) -> HubRepository:
        """What a repository holds at a revision (a commit, branch or tag; None for its main branch).

        Raises:
            DataError: the hub can't be reached, has no such repository or revision, won't show it, or answers nonsense.
        """
        from huggingface_hub import HfApi  # noqa: PLC0415 — half a second of import that only fetching needs

        with _clear_errors(f"dataset {repository_id}", self.endpoint, revision):
            try:
                info = HfApi(endpoint=self.endpoint).dataset_info(
                    repository_id, revision=revision, files_metadata=True, timeout=_TIMEOUT_SECONDS
                )
            except (KeyError, TypeError, AttributeError) as error:  # the hub's library on an answer it can't read
                raise _nonsense(self.endpoint, repository_id, type(error).__name__) from error
        commit, siblings = info.sha, info.siblings
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit) or siblings is None:
            raise _nonsense(self.endpoint, repository_id, f"commit {commit!r:.60}")
        if revision is not None and _COMMIT.fullmatch(revision) and revision != commit:
            raise _nonsense(self.endpoint, repository_id, f"commit {commit} where {revision} was asked for")
        if len(siblings) >= _MAX_FILES:
            raise DataError(f"dataset {repository_id} has {len(siblings)} files, more than the hub lists reliably")
        files = tuple(_hub_file(repository_id, sibling) for sibling in siblings)
        return HubRepository(id=repository_id, revision=commit, files=files)

    def download(self, repository: HubRepository, path: str, file: BinaryIO) -> None:
        """Write a file's bytes. They are as the network gave them: the caller checks them.

        Raises:
            DataError: the hub can't be reached, breaks off for good, or won't give the file.
        """
        from huggingface_hub import hf_hub_url  # noqa: PLC0415 — as above
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # noqa: PLC0415 — as above

        url = hf_hub_url(repository.id, path, repo_type="dataset", revision=repository.revision, endpoint=self.endpoint)
        _stream(url, file, build_hf_headers(), f"dataset {repository.id}: {path}", self.endpoint)


def download_url(url: str, file: BinaryIO) -> None:
    """Write the bytes behind an address that is not the hub's; no token is sent. Raises DataError as `Hub.download`."""
    _stream(url, file, {}, url, url)


def _stream(url: str, file: BinaryIO, headers: dict[str, str], subject: str, endpoint: str) -> None:
    from huggingface_hub.file_download import http_get  # noqa: PLC0415 — as above

    with _clear_errors(subject, endpoint, None):
        try:
            http_get(url, file, headers={**headers, "Accept-Encoding": "identity"})
        except OSError as error:
            if error.errno is None and type(error) is OSError:  # the library's own check of the length
                raise DataError(f"{subject}: the transfer was incomplete; run the same command again") from error
            raise


def _hub_file(repository_id: str, sibling: Any) -> HubFile:
    try:
        path = safe_path(sibling.rfilename)
    except DataError as error:
        raise DataError(f"dataset {repository_id}: {error}; nothing of it was fetched") from error
    lfs = sibling.lfs
    sha256, size = (None, sibling.size) if lfs is None else (lfs.sha256, lfs.size)
    git_sha1 = sibling.blob_id if sha256 is None else None
    is_named = _matches(_SHA256, sha256) if sha256 is not None else _matches(_COMMIT, git_sha1)
    if not is_named or type(size) is not int or size < 0:
        raise DataError(f"dataset {repository_id}: the hub gives no size and digest for {path}; it can't be checked")
    return HubFile(path=path, expected=Expected(num_bytes=size, sha256=sha256, git_sha1=git_sha1))


def _matches(pattern: re.Pattern[str], text: object) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _nonsense(endpoint: str, repository_id: str, what: str) -> DataError:
    return DataError(f"{endpoint} gave no usable answer about dataset {repository_id} ({what}); is it a hub?")


@contextmanager
def _clear_errors(subject: str, endpoint: str, revision: str | None) -> Iterator[None]:
    from huggingface_hub import errors  # noqa: PLC0415 — as above

    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise DataError(
            "HF_HUB_OFFLINE is set, and fetching needs the network; unset it, or fetch on a connected machine"
        ) from error
    except errors.HfHubHTTPError as error:
        raise DataError(_refusal(error, subject, endpoint, revision)) from error
    except errors.HTTPError as error:  # type: ignore[attr-defined]  # the transport's own, under its one stable name
        is_timeout = "Timeout" in type(error).__name__
        what = "didn't answer in time" if is_timeout else f"can't be reached ({_short(error)})"
        raise DataError(f"{subject}: {endpoint} {what}; check the network and run the same command again") from error
    except ValueError as error:  # no JSON where JSON was due, or an id that the hub's library refuses
        raise DataError(f"{subject}: {endpoint} gave no usable answer ({_short(error)}); is it a hub?") from error


def _refusal(error: Any, subject: str, endpoint: str, revision: str | None) -> str:
    from huggingface_hub import errors  # noqa: PLC0415 — as above

    status = error.response.status_code
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{subject} is gated: ask for access on its page at {endpoint}, then `hf auth login` or set HF_TOKEN, and"
            " run the same command again"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{subject} has no revision {revision}; name a commit, branch or tag of it in --revision"
    if isinstance(error, errors.RepositoryNotFoundError) or status in {401, 404}:
        return f"{subject}: {endpoint} has no such thing, or doesn't show it without a login ({status})"
    return f"{subject}: {endpoint} answered {status} ({_short(error)}); try again later"


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
