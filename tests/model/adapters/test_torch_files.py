"""Files of torch.save: tensors come out, code never runs, damage is one clear line."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from ft_eval.errors import CheckpointError
from ft_eval.model.adapters.torch_files import read_torch_file


class Bomb:
    """Unpickled by a careless reader, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_refused_and_never_runs(tmp_path: Path, *, zipped: bool) -> None:
    path, mark = tmp_path / "model.pt", tmp_path / "exploded"
    torch.save({"model": Bomb(mark)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="could run code") as error:
        read_torch_file(path)
    assert "\n" not in str(error.value)
    assert not mark.exists()


def test_plain_tensors_and_values_come_out_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"model": {"w": torch.arange(3.0)}, "iter": 7}, path)
    loaded: Any = read_torch_file(path)
    assert loaded["model"]["w"].tolist() == [0.0, 1.0, 2.0]
    assert loaded["iter"] == 7


@pytest.mark.parametrize("data", [b"", b"not a file of torch", b"PK\x03\x04 cut", b"\x80\x02."])
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"model\.pt") as error:
        read_torch_file(path)
    assert "\n" not in str(error.value)


def test_a_truncated_file_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"model": {"w": torch.zeros(1000)}}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="truncated"):
        read_torch_file(path)


def test_what_is_no_dictionary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save([torch.zeros(2)], path)
    with pytest.raises(CheckpointError, match="holds a list, expected a dictionary"):
        read_torch_file(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.pt is not a file"):
        read_torch_file(tmp_path / "gone.pt")
