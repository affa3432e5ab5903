"""A dataset that can't be read is named with the file that is at fault, and so is a cache that can't be written."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ft_eval.errors import DataError
from ft_eval.harness.dataset_faults import cache_fault
from ft_eval.harness.mirror import DataSource, redirected_datasets
from ft_eval.harness.tasks import TaskOptions, load_tasks

CARD = (
    "---\nconfigs:\n- config_name: high\n  data_files:\n  - split: test\n    path: high/test.{}\n"
    "- config_name: middle\n  data_files:\n  - split: test\n    path: middle/test.{}\n---\n"
)
ROW = {"article": "Ann.", "question": "Who?", "answer": "A", "options": ["Ann", "Bob", "x", "y"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of RACE, with no file yet."""
    made = tmp_path / "data" / "ehovy" / "race"
    (made / "high").mkdir(parents=True)
    return made


def said(folder: Path) -> str:
    """What is said of the dataset when its config is read for a task."""
    source = DataSource(data_dir=folder.parents[1], offline=True)
    with pytest.raises(DataError) as caught:
        load_tasks(["ft_race_high_text"], TaskOptions(), source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_parquet_file_without_rows_is_named(folder):
    (folder / "README.md").write_text(CARD.format("parquet", "parquet"))
    pq.write_table(pa.table({"article": pa.array([], pa.string())}), folder / "high" / "test.parquet")
    assert f"can't be read: {folder}/high/test.parquet has no rows; download it again" in said(folder)


def test_a_parquet_file_that_was_cut_is_named(folder):
    (folder / "README.md").write_text(CARD.format("parquet", "parquet"))
    (folder / "high" / "test.parquet").write_bytes(b"PAR1" + b"x" * 99)
    assert f"{folder}/high/test.parquet: Parquet magic bytes not found" in said(folder)


def test_a_card_that_is_no_yaml_is_named(folder):
    (folder / "README.md").write_text("---\nconfigs: [\n---\n")
    assert f"the front matter of {folder}/README.md is no YAML: while parsing" in said(folder)


def test_a_loading_script_is_named_as_what_it_is(folder):
    (folder / "race.py").write_text("raise SystemExit\n")
    assert "can't be read: it is a loading script, which is never run; lay down its parquet" in said(folder)


def test_a_file_in_latin_1_is_named_and_not_the_task(folder):
    (folder / "README.md").write_text(CARD.format("jsonl", "jsonl"))
    (folder / "high" / "test.jsonl").write_bytes(json.dumps({**ROW, "article": "?"}).encode().replace(b"?", b"\xe9"))
    assert said(folder).startswith(f"{folder}/high/test.jsonl:1 can't be read ('utf-8' codec can't decode byte 0xe9")


def test_so_is_one_whose_first_document_is_sound(folder):
    (folder / "README.md").write_text(CARD.format("jsonl", "jsonl"))
    bad = json.dumps({**ROW, "article": "?"}).encode().replace(b"?", b"\xe9")
    (folder / "high" / "test.jsonl").write_bytes(json.dumps(ROW).encode() + b"\n" + bad + b"\n")
    assert said(folder).startswith(f"{folder}/high/test.jsonl:2 can't be read ('utf-8' codec can't decode byte 0xe9")


def test_so_is_a_file_that_a_task_file_names(tmp_path):
    rows = [json.dumps({"q": one, "a": "x"}).encode().replace(b"?", b"\xe9") for one in ("a", "b", "?")]
    (tmp_path / "docs.jsonl").write_bytes(b"\n".join(rows))
    (tmp_path / "mine.yaml").write_text(
        f"task: mine\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {tmp_path}/docs.jsonl}}}}\n"
        "test_split: test\ndoc_to_text: '{{q}}'\ndoc_to_target: a\n"
    )
    with pytest.raises(DataError, match=r"docs.jsonl:3 can't be read .* expected a JSON object a line, in UTF-8"):
        load_tasks(["mine"], TaskOptions(include_paths=(tmp_path,)), DataSource(offline=True))


def test_a_cache_that_cannot_be_written_is_no_fault_of_the_task(folder, tmp_path, monkeypatch):
    import datasets

    (folder / "README.md").write_text(CARD.format("jsonl", "jsonl"))
    (folder / "high" / "test.jsonl").write_text(json.dumps(ROW) + "\n")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "file" / "cache"))
    assert f"the cache folder {tmp_path}/file/cache of datasets can't be written" in said(folder)
    assert "set HF_HOME, or XDG_CACHE_HOME, to a folder that can" in said(folder)


def test_another_folder_or_a_full_disk_is_no_matter_of_the_cache(tmp_path):
    cache = tmp_path / "cache"
    assert cache_fault(PermissionError(13, "Permission denied", str(tmp_path / "other")), cache) == ""
    assert cache_fault(OSError(28, "No space left on device", str(cache / "a")), cache) == ""
    assert cache_fault(PermissionError(13, "Permission denied"), cache) == ""
    assert str(cache) in cache_fault(PermissionError(13, "Permission denied", str(cache / "a")), cache)


def test_the_source_stands_again_after_a_fault(folder):
    import datasets

    before = datasets.load_dataset
    with redirected_datasets(DataSource(data_dir=folder.parents[1], offline=True)):
        (folder / "race.py").write_text("")
        with pytest.raises(DataError):
            datasets.load_dataset("ehovy/race", "high")
    assert datasets.load_dataset is before
