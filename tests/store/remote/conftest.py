"""A store in memory, and as many machines as a test wants: each has a cache folder of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ft_eval.store.remote.copy import WorkingCopy
from ft_eval.store.remote.objects import Objects
from ft_eval.store.remote.pull import pull
from ft_eval.store.remote.push import Pusher
from ft_eval.store.remote.url import RunUrl

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def url() -> Iterator[RunUrl]:
    yield RunUrl(protocol="memory", path="bucket/run")
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def objects(url: RunUrl) -> Objects:
    return Objects(url)


@dataclass
class Machine:
    """A machine's working copy, brought up to the store, and what pushes it; no lease and no thread."""

    copy: WorkingCopy
    pusher: Pusher
    notices: list[str]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objects: Objects) -> Callable[[str], Machine]:
    """From now on this process is the machine of that name."""

    def become(name: str) -> Machine:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        copy, notices = WorkingCopy(objects.url.working_copy), list[str]()
        pull(objects, copy, objects.list(), notices.append)
        return Machine(copy=copy, pusher=Pusher(objects, copy), notices=notices)

    return become
