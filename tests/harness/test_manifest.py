"""A mirror is held to its manifest: wholly when asked, by size whenever it is read."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from ft_eval.errors import DataError
from ft_eval.harness.manifest import (
    Manifest,
    MirroredFile,
    MirroredRepository,
    check_release_file,
    read_manifest,
    verify_mirror,
    write_manifest,
)
from ft_eval.harness.mirror import DataSource, redirected_datasets

LINES = b'{"a": 1}\n{"a": 2}\n'


def entry(name: str, data: bytes) -> MirroredFile:
    return MirroredFile(path=name, num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def repository(repository_id: str, **files: bytes) -> MirroredRepository:
    entries = tuple(entry(name.replace("__", "/"), data) for name, data in files.items())
    return MirroredRepository(id=repository_id, revision="c" * 40, source="https://hub", rows={}, files=entries)


@pytest.fixture
def mirror(tmp_path) -> Path:
    """Two datasets and what evalplus released, as they should be."""
    root, test = tmp_path / "mirror", {"test.jsonl": LINES}
    for name in ("org/name", "org/other", "evalplus/mbppplus", "evalplus-release"):
        (root / name).mkdir(parents=True)
        (root / name / "test.jsonl").write_bytes(LINES)
    ids = ("org/name", "org/other", "evalplus/mbppplus", "evalplus-release")
    write_manifest(root, Manifest(repositories=tuple(repository(one, **test) for one in ids)))
    return root


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    manifest = Manifest(repositories=(repository("org/name", data__a=b"1", b=b"22"),))
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_folder_without_one_has_none(tmp_path):
    assert read_manifest(tmp_path) is None
    with pytest.raises(DataError, match=r"has no manifest.json"):
        verify_mirror(tmp_path)


def test_updating_replaces_one_repository_and_keeps_their_order():
    first = Manifest().updated(repository("b/b", x=b"1")).updated(repository("a/a"))
    assert [one.id for one in first.repositories] == ["a/a", "b/b"]
    assert [one.files for one in first.updated(repository("b/b")).repositories] == [(), ()]


def test_missing_changed_and_extra_files_are_named(mirror):
    assert not verify_mirror(mirror)
    (mirror / "org/name/test.jsonl").unlink()
    (mirror / "org/other/test.jsonl").write_bytes(LINES.replace(b"2", b"3"))  # the same size
    (mirror / "org/other/.0123.part").write_bytes(b"")
    (mirror / "elsewhere").symlink_to("/")
    faults = verify_mirror(mirror)
    assert faults.missing == ("org/name/test.jsonl",)
    assert faults.changed == ("org/other/test.jsonl",)
    assert faults.extra == ("elsewhere", "org/other/.0123.part")


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", "no json", '{"format_version": 2, "repositories": [{"id": 3}]}', '{"format_version": 99}'],
)
def test_a_manifest_that_is_none_is_one_clear_line(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest.json is no manifest of `ft-eval fetch`.*move it away") as raised:
        read_manifest(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("place", ["id", "path"])
def test_a_manifest_whose_paths_lead_out_is_refused(mirror, place):
    plain = json.loads((mirror / "manifest.json").read_text())
    target = plain["repositories"][0] if place == "id" else plain["repositories"][0]["files"][0]
    target[place] = "../../etc/passwd"
    (mirror / "manifest.json").write_text(json.dumps(plain))
    with pytest.raises(DataError, match="can't be used"):
        read_manifest(mirror)


def test_a_file_of_another_size_is_refused_before_any_is_opened(mirror):
    (mirror / "org/name/test.jsonl").write_bytes(LINES[:9])
    source = DataSource(data_dir=mirror, offline=True)
    source.check(["org/other", "json"])
    with pytest.raises(DataError, match=r"org/name/test.jsonl has 9 bytes, and manifest.json says 18.*ft-eval fetch"):
        source.check(["org/other", "org/name"])


def test_a_missing_file_is_refused(mirror):
    (mirror / "org/name/test.jsonl").unlink()
    with pytest.raises(DataError, match=r"org/name/test.jsonl is missing"):
        DataSource(data_dir=mirror).check(["org/name"])


def test_a_missing_folder_is_refused(mirror):
    shutil.rmtree(mirror / "evalplus-release")
    with pytest.raises(DataError, match=r"evalplus-release/test.jsonl is missing"):
        DataSource(data_dir=mirror).check(["evalplus/mbppplus"])


def test_evalplus_files_are_looked_at_with_its_datasets(mirror):
    (mirror / "evalplus-release/test.jsonl").write_bytes(b"")
    DataSource(data_dir=mirror).check(["org/name"])
    with pytest.raises(DataError, match=r"evalplus-release/test.jsonl has 0 bytes"):
        DataSource(data_dir=mirror).check(["evalplus/mbppplus"])


def test_a_task_that_asks_for_a_dataset_by_itself_is_refused_the_same(mirror):
    """lm-eval's own tasks are not known before they are built."""
    import datasets

    (mirror / "org/name/test.jsonl").write_bytes(LINES[:9])
    with redirected_datasets(DataSource(data_dir=mirror, offline=True)):
        assert datasets.load_dataset("org/other")["test"]["a"] == [1, 2]
        with pytest.raises(DataError, match="has 9 bytes"):
            datasets.load_dataset("org/name")


def test_a_dataset_beside_the_manifest_is_read_without_a_revision(mirror):
    (mirror / "own" / "one").mkdir(parents=True)
    source = DataSource(data_dir=mirror)
    source.check(["own/one"])
    assert (source.revision("own/one"), source.revision("org/nam"), DataSource().revision("org/name")) == ("", "", "")
    assert source.revision("org/name") == source.revision("org/name/config") == "c" * 40


@pytest.mark.parametrize("name", ["test2.jsonl", "high/test.jsonl", "README.md", "notes.txt", "link"])
def test_a_file_that_is_not_listed_and_could_be_data_is_refused(mirror, name):
    (mirror / "org/name" / name).parent.mkdir(exist_ok=True)
    if name == "link":
        (mirror / "org/name/link").symlink_to("..")
    else:
        (mirror / "org/name" / name).write_bytes(LINES)
    source = DataSource(data_dir=mirror)
    source.check(["org/other"])
    with pytest.raises(DataError, match=rf"org/name/{name} is not in manifest.json and could be read as data; move it"):
        source.check(["org/name"])


def test_a_file_that_is_no_data_is_let_alone(mirror):
    for name in (".DS_Store", ".gitattributes", ".cache/huggingface/x.lock", "LICENSE", "a/README.md", "__pycache__/x"):
        (mirror / "org/name" / name).parent.mkdir(exist_ok=True, parents=True)
        (mirror / "org/name" / name).write_bytes(LINES)
    DataSource(data_dir=mirror).check(["org/name"])


def test_a_repository_in_anothers_folder_is_not_its_data(mirror):
    """`org/name` beside the old kind of repository that has no organisation."""
    manifest = read_manifest(mirror)
    assert manifest is not None
    (mirror / "org/card.txt").write_bytes(LINES)
    write_manifest(mirror, manifest.updated(repository("org", **{"card.txt": LINES})))
    DataSource(data_dir=mirror).check(["org"])


@pytest.mark.parametrize("what", ["changed", "not listed", "listed", "no list of them"])
def test_evalplus_tests_are_the_listed_ones_or_refused(mirror, what):
    name = "gone.jsonl" if what == "not listed" else "test.jsonl"
    if what == "changed":
        (mirror / "evalplus-release/test.jsonl").write_bytes(LINES.replace(b"2", b"3"))
    if what == "no list of them":
        write_manifest(mirror, Manifest(repositories=(repository("org/name", **{"test.jsonl": LINES}),)))
    if what in {"changed", "not listed"}:
        words = "it was changed" if what == "changed" else "is not in manifest.json; move it away"
        with pytest.raises(DataError, match=words):
            check_release_file(mirror, name)
    else:
        check_release_file(mirror, name)
