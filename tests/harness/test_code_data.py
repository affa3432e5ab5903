"""The tests' files are found where they may lie, and every other state of affairs is one clear line."""

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import evalplus.data.utils
import pytest

from ft_eval.errors import DataError, FtEvalWarning
from ft_eval.harness.code_data import CodeData
from ft_eval.harness.manifest import Manifest, MirroredFile, MirroredRepository, write_manifest
from ft_eval.sandbox.wire import from_tree, parse

ROW = {
    "task_id": "HumanEval/0",
    "prompt": "def f(x):\n",
    "entry_point": "f",
    "canonical_solution": "    return x\n",
    "base_input": [[1]],
    "plus_input": [[2], [3]],
    "atol": 0,
}


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No override and an empty cache, whatever this machine has."""
    monkeypatch.delenv("HUMANEVAL_OVERRIDE_PATH", raising=False)
    monkeypatch.delenv("MBPP_OVERRIDE_PATH", raising=False)
    monkeypatch.setattr(evalplus.data.utils, "CACHE_DIR", str(tmp_path / "cache"))


def write(path: Path, rows: Sequence[object], *, zipped: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if zipped else text)
    return path


def humaneval(data_dir: Path | None = None) -> CodeData:
    return CodeData("humaneval_plus", data_dir=data_dir, offline=True)


def test_a_problem_is_read_from_the_data_folder(tmp_path: Path) -> None:
    write(tmp_path / "evalplus-release" / "HumanEvalPlus.jsonl.gz", [ROW])
    problem = humaneval(tmp_path).problem("HumanEval/0")
    assert problem.reference == "def f(x):\n    return x\n"
    assert [from_tree(parse(text)) for text in problem.base_inputs + problem.plus_inputs] == [[1], [2], [3]]


def test_the_data_folder_comes_first_then_the_override_then_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = write(tmp_path / "cache" / "HumanEvalPlus-v0.1.10.jsonl", [ROW], zipped=False)
    assert humaneval(tmp_path).path == cached
    override = write(tmp_path / "mine.jsonl.gz", [ROW])
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", str(override))
    assert humaneval(tmp_path).path == override
    given = write(tmp_path / "evalplus-release" / "HumanEvalPlus.jsonl.gz", [ROW])
    assert humaneval(tmp_path).path == given
    assert humaneval(tmp_path).task_ids() == ("HumanEval/0",)


def test_offline_with_nothing_here_says_what_to_put_where(tmp_path: Path) -> None:
    data = humaneval(tmp_path)
    assert not data.is_here
    with pytest.raises(DataError, match=r"evalplus-release/HumanEvalPlus\.jsonl\.gz.*HUMANEVAL_OVERRIDE_PATH"):
        data.problem("HumanEval/0")


def test_a_failing_download_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, path: str) -> None:
        raise OSError("no route")

    monkeypatch.setattr(evalplus.data.utils, "make_cache", fail)
    with pytest.raises(DataError, match=r"can't be fetched.*no route.*--data-dir"):
        CodeData("humaneval_plus", data_dir=None, offline=False).problem("HumanEval/0")


def test_a_download_is_used_where_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evalplus.data.utils, "make_cache", lambda _url, path: write(Path(path), [ROW], zipped=False))
    assert CodeData("humaneval_plus", data_dir=None, offline=False).problem("HumanEval/0").entry_point == "f"


def test_an_override_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", str(tmp_path / "gone.jsonl.gz"))
    with pytest.raises(DataError, match=r"HUMANEVAL_OVERRIDE_PATH.*no such file"):
        humaneval().problem("HumanEval/0")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"task_id": "HumanEval/0"\n', ":1 is no JSON"),
        (b"{}\n", ":1 has no task_id, prompt"),
        (b"[]\n", ":1 has no task_id"),
        (json.dumps({**ROW, "atol": "0"}).encode(), ":1 has an unusable atol"),
        (json.dumps({**ROW, "base_input": []}).encode(), ":1 has an unusable base_input"),
        (json.dumps({**ROW, "base_input": [1]}).encode(), "inputs of HumanEval/0 can't be read"),
        (2 * (json.dumps(ROW).encode() + b"\n"), ":2 has HumanEval/0 a second time"),
        (b"\x1f\x8bbroken", "can't be read"),
        (b"\xff\xfe", "can't be read"),
        (b"", "has no problems; "),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "evalplus-release" / "HumanEvalPlus.jsonl.gz"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        humaneval(tmp_path).problem("HumanEval/0")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_record_names_the_release_only_when_the_bytes_are_the_release(data_dir: Path, tmp_path: Path) -> None:
    real = CodeData("mbpp_plus", data_dir=data_dir, offline=True).provenance
    assert real["mbpp_plus_data"] == "MbppPlus v0.2.0"
    path = write(tmp_path / "evalplus-release" / "HumanEvalPlus.jsonl.gz", [ROW])
    other = humaneval(tmp_path).provenance
    assert other["humaneval_plus_data"] == "HumanEvalPlus, not a known release"
    assert other["humaneval_plus_data_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_release_is_known_by_what_it_has_in_any_place_and_packing(data_dir: Path, tmp_path: Path) -> None:
    released = gzip.decompress((data_dir / "evalplus-release" / "HumanEvalPlus.jsonl.gz").read_bytes())
    cached = tmp_path / "cache" / "HumanEvalPlus-v0.1.10.jsonl"
    cached.parent.mkdir()
    for content, label in (
        (released, "HumanEvalPlus v0.1.10"),
        (released + b"\n", "HumanEvalPlus, not a known release"),
    ):
        cached.write_bytes(content)
        assert humaneval().provenance["humaneval_plus_data"] == label
    again = tmp_path / "again.gz"
    again.write_bytes(gzip.compress(released, 1))
    data = CodeData("humaneval_plus", data_dir=None, offline=True, file=again)
    assert data.provenance["humaneval_plus_data"] == "HumanEvalPlus v0.1.10"


def test_tests_of_unknown_origin_are_told_unless_they_were_named(tmp_path: Path) -> None:
    path = write(tmp_path / "evalplus-release" / "HumanEvalPlus.jsonl.gz", [ROW])
    with pytest.warns(FtEvalWarning, match=r"HumanEvalPlus\.jsonl\.gz is not HumanEvalPlus v0\.1\.10 as evalplus rel"):
        humaneval(tmp_path).remark_on_origin()
    CodeData("humaneval_plus", data_dir=None, offline=True, file=path).remark_on_origin()


def test_a_release_file_that_the_manifest_does_not_list_so_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "evalplus-release" / "HumanEvalPlus.jsonl.gz", [ROW])
    entry = MirroredFile(path=path.name, num_bytes=path.stat().st_size, sha256="0" * 64)
    release = MirroredRepository(id="evalplus-release", revision="v", source="https://hub", rows={}, files=(entry,))
    write_manifest(tmp_path, Manifest(repositories=(release,)))
    with pytest.raises(DataError, match=r"HumanEvalPlus\.jsonl\.gz has sha256 .* it was changed"):
        humaneval(tmp_path).problem("HumanEval/0")
    assert humaneval(tmp_path).is_here


def test_the_released_files_are_whole(data_dir: Path) -> None:
    for task, count in (("humaneval_plus", 164), ("mbpp_plus", 378)):
        assert len(CodeData(task, data_dir=data_dir, offline=True).task_ids()) == count


def test_mbpp_inputs_get_their_types_back(data_dir: Path) -> None:
    data = CodeData("mbpp_plus", data_dir=data_dir, offline=True)
    assert from_tree(parse(data.problem("Mbpp/2").base_inputs[0])) == [(3, 4, 5, 6), (5, 7, 4, 10)]
    assert isinstance(from_tree(parse(data.problem("Mbpp/252").base_inputs[0]))[0], complex)


def test_a_file_named_by_the_user_comes_first_and_is_no_release(tmp_path: Path) -> None:
    write(tmp_path / "evalplus-release" / "HumanEvalPlus.jsonl.gz", [ROW])
    mine = write(tmp_path / "mine.jsonl", [{**ROW, "task_id": "Mine/7"}], zipped=False)
    data = CodeData("humaneval_plus", data_dir=tmp_path, offline=True, file=mine)
    assert data.task_ids() == ("Mine/7",)
    assert data.provenance["humaneval_plus_data"] == "HumanEvalPlus, not a known release"
    with pytest.raises(DataError, match=r"gone\.jsonl: no such file"):
        CodeData("humaneval_plus", data_dir=tmp_path, offline=True, file=tmp_path / "gone.jsonl").task_ids()


def test_a_problems_digest_hangs_on_all_that_is_said_of_it_and_on_nothing_else(tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "task_id": "HumanEval/1"}]
    changed = [{**ROW, "plus_input": [[2], [4]]}, rows[1]]
    first, second = (
        CodeData("humaneval_plus", data_dir=None, offline=True, file=write(tmp_path / f"{number}.jsonl.gz", some))
        for number, some in enumerate((rows, changed))
    )
    assert first.digest("HumanEval/0") != second.digest("HumanEval/0")
    assert first.digest("HumanEval/1") == second.digest("HumanEval/1")
    with pytest.raises(DataError, match="no problem HumanEval/2"):
        first.digest("HumanEval/2")
