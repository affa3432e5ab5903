"""evalplus's release files, the tests of HumanEval+ and MBPP+, into a mirror. Versions and digests are the package's.

Knows no hub: they are files behind an address.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ft_eval.harness.code_data import _SOURCES
from ft_eval.harness.fetch_files import Expected
from ft_eval.harness.fetch_hub import download_url
from ft_eval.harness.fetch_mirror import FetchedRepository, RepositoryFolder
from ft_eval.harness.manifest import RELEASE_ID, MirroredRepository

ADDRESS_VARIABLE = "FT_EVAL_EVALPLUS_URL"
"""Environment variable: where evalplus's repositories are, for a site that keeps a copy."""
DEFAULT_ADDRESS = "https://github.com/evalplus"


def release_url(task: str) -> str:
    """The address of a code task's release file: that of `evalplus.data`, below the address in use."""
    source = _SOURCES[task]
    base = (os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS).rstrip("/")
    return f"{base}/{source.name.lower()}_release/releases/download/{source.version}/{source.file}"


def fetch_release(tasks: Sequence[str], mirror: Path, before: MirroredRepository | None) -> FetchedRepository:
    """Fetch the release files of these code tasks. Raises DataError as `RepositoryFolder.put`."""
    folder = RepositoryFolder(mirror, RELEASE_ID, before)
    for task in tasks:
        source = _SOURCES[task]
        folder.put(source.file, Expected(sha256=source.sha256), partial(download_url, release_url(task)))
    there = {file.path for file in folder.files}
    releases = [f"{source.name} {source.version}" for source in _SOURCES.values() if source.file in there]
    return folder.result(
        MirroredRepository(
            id=RELEASE_ID,
            revision=", ".join(releases),
            source=os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS,
            licence="Apache-2.0",
            rows={},
            files=folder.files,
        )
    )
