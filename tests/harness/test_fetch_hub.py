"""The hub's answers are checked, and whatever goes wrong is one clear line. The hub is a stand-in on this machine."""

import hashlib
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

from ft_eval.errors import DataError
from ft_eval.harness import fetch_hub
from ft_eval.harness.fetch_hub import Hub

COMMIT, OLDER = "c" * 40, "0" * 40


class StandIn:
    """What of the hub's interface fetching uses: a dataset's listing, files at a commit, large ones by a redirect."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.revisions = {"main": COMMIT, COMMIT: COMMIT, OLDER: OLDER}
        self.listed: dict[str, str] = {}
        """Paths that the listing gives in place of others."""
        self.sent: dict[str, bytes] = {}
        """Bytes that are sent in place of a path's own."""
        self.break_after: dict[str, int] = {}
        """Per path, how many of its bytes are sent before the connection ends, as long as it is in here."""
        self.break_once = True
        self.gated = False
        self.answer: tuple[int, dict[str, str], bytes] | None = None
        """What every question about a dataset is answered with, in place of the truth."""
        self.log: list[str] = []
        self.with_token: list[str] = []
        """The paths that were asked for with a token."""
        self.address = ""

    def downloads(self) -> list[str]:
        """The files that were asked for since the last call, in order."""
        found, self.log = [one for one in self.log if not one.startswith("/api/")], []
        return [one.rpartition("/")[2] for one in found if not one.startswith("/cdn/")]

    def reply(self, path: str) -> tuple[int, dict[str, str], bytes, str]:
        """Status, headers, body, and the name whose bytes they are."""
        if path.startswith("/api/datasets/"):
            return (*self._listing(path.removeprefix("/api/datasets/")), "")
        if path.startswith("/cdn/"):
            name = path.removeprefix("/cdn/")
            return 200, {}, self._bytes(name), name
        repository, _, rest = path.removeprefix("/datasets/").partition("/resolve/")
        commit, _, name = rest.partition("/")
        if self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b"", ""
        if name not in self.repositories.get(repository, {}):
            return 404, {"X-Error-Code": "EntryNotFound"}, b"", ""
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(self._bytes(name)).hexdigest()}"'}
        if name.endswith(".parquet"):
            return 302, {**headers, "Location": f"{self.address}/cdn/{name}"}, b"", ""
        return 200, headers, self._bytes(name), name

    def _bytes(self, name: str) -> bytes:
        files = {path: data for one in self.repositories.values() for path, data in one.items()}
        return self.sent.get(name, files[name])

    def _listing(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if self.answer is not None:
            return self.answer
        repository, _, revision = path.partition("/revision/")
        if repository not in self.repositories:
            return 401, {"X-Error-Code": "RepoNotFound"}, b""
        if (revision or "main") not in self.revisions:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        siblings = [self._sibling(name, data) for name, data in self.repositories[repository].items()]
        info = {"id": repository, "sha": self.revisions[revision or "main"], "siblings": siblings, "gated": self.gated}
        return 200, {"Content-Type": "application/json"}, json.dumps(info).encode()

    def _sibling(self, name: str, data: bytes) -> dict[str, object]:
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        found: dict[str, object] = {"rfilename": self.listed.get(name, name), "size": len(data), "blobId": blob}
        if name.endswith(".parquet"):
            found["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return found


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            stand_in.log.append(path)
            if "Authorization" in self.headers:
                stand_in.with_token.append(path)
            status, headers, body, name = stand_in.reply(path)
            begin, total = self.headers.get("Range", ""), len(body)
            if begin and status == 200:
                start = int(begin.removeprefix("bytes=").partition("-")[0])
                status, body = 206, body[start:]
                headers = {**headers, "Content-Range": f"bytes {start}-{total - 1}/{total}"}
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if name in stand_in.break_after:
                body = body[: stand_in.break_after[name]]
                self.close_connection = True
                if stand_in.break_once:
                    del stand_in.break_after[name]
            with suppress(ConnectionError):  # the client may have given up
                self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


@contextmanager
def running(stand_in: StandIn) -> Iterator[StandIn]:
    """Serve it on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stand_in))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    stand_in.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def go_online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests are offline; these reach the stand-in alone. Retries don't wait."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub(monkeypatch):
    """A running stand-in with one small dataset."""
    from huggingface_hub import close_session

    go_online(monkeypatch)
    stand_in = StandIn()
    stand_in.repositories["org/name"] = {"README.md": b"# a card\n", "data/test.parquet": bytes(range(256)) * 40}
    with running(stand_in):
        yield stand_in
    close_session()


def read(stand_in: StandIn, path: str) -> bytes:
    client, file = Hub(stand_in.address), io.BytesIO()
    client.download(client.repository("org/name", None), path, file)
    return file.getvalue()


def test_a_repository_is_listed_at_its_commit_with_digests(hub):
    found = Hub(hub.address).repository("org/name", None)
    assert found.revision == COMMIT
    card, data = found.files
    assert (card.path, card.expected.sha256, card.expected.num_bytes) == ("README.md", None, 9)
    assert card.expected.git_sha1 is not None
    assert data.expected.sha256 == hashlib.sha256(hub.repositories["org/name"]["data/test.parquet"]).hexdigest()


def test_a_redirect_is_followed(hub):
    assert read(hub, "data/test.parquet") == hub.repositories["org/name"]["data/test.parquet"]
    assert any(path.startswith("/cdn/") for path in hub.log)


def test_a_transfer_that_breaks_off_once_is_taken_up_where_it_ended(hub):
    hub.break_after = {"data/test.parquet": 5000}
    assert read(hub, "data/test.parquet") == hub.repositories["org/name"]["data/test.parquet"]
    assert len([path for path in hub.log if path.startswith("/cdn/")]) == 2


def test_a_transfer_that_breaks_off_for_good_is_one_clear_line(hub):
    hub.break_after, hub.break_once = {"data/test.parquet": 0}, False
    with pytest.raises(DataError, match=r"data/test.parquet: http://127.* can't be reached") as raised:
        read(hub, "data/test.parquet")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a//x", "a/./x", "", "a\nb", "a\\..\\b", "n" * 300])
def test_a_path_that_could_lie_elsewhere_is_refused(hub, path):
    hub.listed = {"data/test.parquet": path}
    with pytest.raises(DataError, match=r"org/name: the path .* can't be used.*nothing of it was fetched"):
        Hub(hub.address).repository("org/name", None)


ANSWERS = {
    "no json": ((200, {}, b"<html>"), "no usable answer"),
    "another shape": ((200, {"Content-Type": "application/json"}, b"[1]"), "no usable answer"),
    "no commit": ((200, {}, b'{"id": "org/name", "siblings": []}'), "no usable answer"),
    "a commit that is none": ((200, {}, b'{"id": "org/name", "sha": "../x", "siblings": []}'), "no usable answer"),
    "no digest": (
        (200, {}, b'{"id": "org/name", "sha": "%s", "siblings": [{"rfilename": "a"}]}' % COMMIT.encode()),
        "gives no size and digest for a",
    ),
    "a server error": ((500, {}, b""), "answered 500"),
    "too many requests": ((429, {}, b""), "answered 429"),
    "no such thing": ((404, {}, b""), "has no such thing"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_that_is_none_is_one_clear_line(hub, case):
    hub.answer, words = ANSWERS[case]
    with pytest.raises(DataError, match=words) as raised:
        Hub(hub.address).repository("org/name", None)
    assert "\n" not in str(raised.value)


def test_another_commit_than_asked_for_is_refused(hub):
    hub.revisions[OLDER] = COMMIT
    with pytest.raises(DataError, match=f"commit {COMMIT} where {OLDER} was asked for"):
        Hub(hub.address).repository("org/name", OLDER)


def test_what_is_not_there_is_said(hub):
    client = Hub(hub.address)
    with pytest.raises(DataError, match=r"org/absent: .* has no such thing, or doesn't show it without a login"):
        client.repository("org/absent", None)
    with pytest.raises(DataError, match="org/name has no revision v9"):
        client.repository("org/name", "v9")


def test_a_gated_dataset_says_how_to_get_it(hub):
    hub.gated = True
    with pytest.raises(DataError, match=r"org/name: README.md is gated: ask for access.*HF_TOKEN"):
        read(hub, "README.md")


def test_a_hub_that_is_not_there_is_said():
    with pytest.MonkeyPatch.context() as patch:
        go_online(patch)
        with pytest.raises(DataError, match=r"http://127.0.0.1:9 can't be reached"):
            Hub("http://127.0.0.1:9").repository("org/name", None)


def test_a_hub_that_never_answers_is_given_up(hub, monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(fetch_hub, "_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(hub, "_listing", lambda _: (never.wait(5), (500, {}, b""))[1])
    with pytest.raises(DataError, match="didn't answer in time"):
        Hub(hub.address).repository("org/name", None)
    never.set()


def test_offline_says_what_keeps_it_offline(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
        Hub(hub.address).repository("org/name", None)
    assert hub.log == []
