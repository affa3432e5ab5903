"""Datasets come from the folder when it has them, and offline from nowhere else."""

import os
import subprocess
import sys
import textwrap

import pytest

from ft_eval.errors import DataError
from ft_eval.harness.mirror import DataSource, redirected_datasets


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        DataSource(data_dir=tmp_path / "absent")


@pytest.mark.parametrize("name", ["..", "../x", "/etc", ".", "org/../../x"])
def test_a_dataset_id_cannot_leave_the_folder(tmp_path, name):
    (tmp_path / "data").mkdir()
    (tmp_path / "x").mkdir()
    assert DataSource(data_dir=tmp_path / "data").folder(name) is None


@pytest.mark.parametrize("linked", ["org", "org/name"])
def test_a_folder_that_is_a_link_to_another_disk_answers_for_its_id(tmp_path, linked):
    import datasets

    (tmp_path / "disk" / "org" / "name").mkdir(parents=True)
    (tmp_path / "disk" / "org" / "name" / "train.jsonl").write_text('{"a": 7}\n')
    link = tmp_path / "data" / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "disk" / linked)
    with redirected_datasets(DataSource(data_dir=tmp_path / "data", offline=True)):
        assert datasets.load_dataset("org/name")["train"][0] == {"a": 7}


def test_offline_a_missing_dataset_is_one_clear_line(tmp_path):
    import datasets

    before = datasets.load_dataset
    source = DataSource(data_dir=tmp_path, offline=True)
    with redirected_datasets(source), pytest.raises(DataError, match=r"dataset org/name is not at hand.*DIR/org/name"):
        datasets.load_dataset("org/name", "main")
    assert datasets.load_dataset is before


def test_a_local_folder_answers_for_its_id(tmp_path):
    import datasets

    folder = tmp_path / "org" / "name"
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    with redirected_datasets(DataSource(data_dir=tmp_path, offline=True)):
        assert datasets.load_dataset("org/name")["test"]["a"] == [1, 2]


CARD = """---
configs:
- config_name: default
  data_files:
  - split: test
    path: test.jsonl
---
"""


def test_rows_are_those_of_the_folder_as_it_is_now(tmp_path):
    """`datasets` keeps what it read under the folder's last name and its card."""
    import datasets

    def rows(mirror):
        with redirected_datasets(DataSource(data_dir=tmp_path / mirror, offline=True)):
            return datasets.load_dataset("org/rows_now")["test"]["a"][:]

    for mirror, value in (("one", 1), ("two", 2)):
        folder = tmp_path / mirror / "org" / "rows_now"
        folder.mkdir(parents=True)
        (folder / "README.md").write_text(CARD)
        (folder / "test.jsonl").write_text(f'{{"a": {value}}}\n')
    assert (rows("one"), rows("two")) == ([1], [2])
    (tmp_path / "one" / "org" / "rows_now" / "test.jsonl").write_text('{"a": 3}\n')
    assert rows("one") == [3]


def test_a_repositorys_files_are_looked_at_once_for_all_its_configs_and_again_the_next_time(tmp_path, monkeypatch):
    import datasets

    folder, looks = tmp_path / "org" / "many_configs", list[str]()
    folder.mkdir(parents=True)
    configs = [f"c{number}" for number in range(5)]
    entries = [f"- config_name: {name}\n  data_files: [{{split: test, path: {name}.jsonl}}]\n" for name in configs]
    (folder / "README.md").write_text(f"---\nconfigs:\n{''.join(entries)}---\n")
    for name in configs:
        (folder / f"{name}.jsonl").write_text(f'{{"a": "{name}"}}\n')
    monkeypatch.setattr(DataSource, "check_files", lambda *_: looks.append("digests"))
    walk = type(folder).rglob

    def counted(path, pattern):
        looks.append("files")
        return walk(path, pattern)

    monkeypatch.setattr(type(folder), "rglob", counted)

    def rows():
        with redirected_datasets(DataSource(data_dir=tmp_path, offline=True)):
            return [datasets.load_dataset("org/many_configs", name)["test"]["a"][0] for name in configs]

    assert (rows(), looks) == (configs, ["digests", "files"])
    (folder / "c3.jsonl").write_text('{"a": "changed"}\n')
    assert (rows()[3], looks) == ("changed", ["digests", "files"] * 2)


def test_a_damaged_folder_is_one_clear_line(tmp_path):
    import datasets

    folder = tmp_path / "org" / "name"
    folder.mkdir(parents=True)
    (folder / "test.parquet").write_bytes(b"PAR1 but no more")
    with (
        redirected_datasets(DataSource(data_dir=tmp_path, offline=True)),
        pytest.raises(DataError, match="can't be read"),
    ):
        datasets.load_dataset("org/name")


OFFLINE_PROGRAM = """
import sys
from pathlib import Path

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise SystemExit(f"a socket was opened: {event} {arguments}")

sys.addaudithook(refuse)
from ft_eval.cli.quiet import quiet_libraries
quiet_libraries(offline=True)
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import TaskOptions, load_tasks
loaded = load_tasks(["arc_easy", "mmlu"], TaskOptions(limit=1), DataSource(data_dir=Path(sys.argv[1]), offline=True))
print(len(loaded.specs), len({group.name: group.tasks for group in loaded.groups}["mmlu"]))
"""


def test_offline_no_socket_is_opened_and_groups_stay_whole(data_dir, tmp_path):
    """In a process of its own that dies at the first connection; mmlu keeps its 57 subjects."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(OFFLINE_PROGRAM), str(data_dir)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "HF_HOME": str(tmp_path / "hf")},
        check=False,
    )
    assert done.stdout.split() == ["58", "57"], done.stderr[-2000:]
