"""Cases 56 and 57: documents with other line ends, and files that are far larger than they look."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ft_eval.environment import redact
from ft_eval.errors import DataError
from ft_eval.harness import code_lines, mirror

SAMPLE = {"task_id": "Tiny/0", "completion": "    return x\n"}


def row(sample: object) -> str:
    return json.dumps(sample) + "\n"


def test_56_a_mark_and_other_line_ends_are_read(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b"\xef\xbb\xbf" + row(SAMPLE).encode() + b'\r\n{"a": 1}\r\n')
    lines = code_lines.read_lines(tmp_path / "x.jsonl", "")
    assert [code_lines.parse_line(line) for _, line in lines] == [SAMPLE, {"a": 1}]


def test_57_a_gzip_bomb_is_refused_at_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_lines, "MAX_BYTES", 10**6)
    (tmp_path / "x.jsonl").write_bytes(gzip.compress(b"0" * 10**7))
    with pytest.raises(DataError, match=r"x.jsonl can't be read .more than 1000000 bytes unpacked."):
        code_lines.read_lines(tmp_path / "x.jsonl", "")
    (tmp_path / "y.jsonl").write_bytes(b"0" * 10**6)
    assert len(code_lines.read_lines(tmp_path / "y.jsonl", "")) == 1


def test_57_a_parquet_file_that_claims_too_much_is_refused_by_its_footer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "MAX_ROWS", 10**5)
    folder = tmp_path / "org" / "name"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"a": ["x"] * 200_000}), folder / "test-00000.parquet")
    assert (folder / "test-00000.parquet").stat().st_size < 10_000
    import datasets

    with (
        mirror.redirected_datasets(mirror.DataSource(data_dir=tmp_path, offline=True)),
        pytest.raises(DataError, match=r"claims 200000 rows of \d+ bytes, and a benchmark has at most 100000"),
    ):
        datasets.load_dataset("org/name")


@pytest.mark.parametrize("line", ['{"a": 1, "a": 2}', "[" * 5000, '{"a": ' + "9" * 5000 + "}", "{"])
def test_56_a_line_that_is_off_is_one_kind_of_error(line):
    with pytest.raises(ValueError, match=r"twice|deep|digits|Expecting"):
        code_lines.parse_line(line)


def test_78_what_opens_doors_is_not_recorded():
    token = "hf_" + "A" * 30
    said = redact(f"ft-eval run --x s3://me:pass@host/a --y {token} API_KEY=abc --seed 3")
    assert said == "ft-eval run --x s3://***@host/a --y *** API_KEY=*** --seed 3"
