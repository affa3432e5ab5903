"""Weights are read once, and again whenever their files may not be those that were read."""

import json
import os
from pathlib import Path

import pytest

from ft_eval.model.weights import weights_digest
from ft_eval.plan import facts, known_weights
from ft_eval.plan.facts import checkpoint_facts
from ft_eval.plan.known_weights import KnownWeights
from ft_eval.resources import user_cache_dir
from ft_eval.store import remembered
from tests.fakes import write_checkpoint

WEIGHTS = "model.safetensors"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Folders whose weights were read through; files count as at rest at once, and the cache is one of our own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remembered, "SETTLED_SECONDS", -1.0)
    found: list[Path] = []

    def reading(folder: Path) -> str:
        found.append(folder)
        return weights_digest(folder)

    monkeypatch.setattr(facts, "weights_digest", reading)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "latent", num_bits=3)


def test_weights_that_nobody_touched_are_read_once(folder: Path, reads: list[Path]) -> None:
    first = checkpoint_facts(folder)
    assert checkpoint_facts(folder) == first
    assert reads == [folder]


def test_other_weights_of_the_same_size_and_age_are_read(folder: Path, reads: list[Path]) -> None:
    first, path = checkpoint_facts(folder), folder / WEIGHTS
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert checkpoint_facts(folder).digest != first.digest
    assert len(reads) == 2


def test_another_file_in_its_place_is_read(folder: Path, reads: list[Path], tmp_path: Path) -> None:
    first = checkpoint_facts(folder)
    other = write_checkpoint(tmp_path / "other", num_bits=3, seed=5)
    (other / WEIGHTS).replace(folder / WEIGHTS)
    assert checkpoint_facts(folder).digest != first.digest
    assert len(reads) == 2


def test_another_config_is_held_to_the_weights_again(folder: Path, reads: list[Path]) -> None:
    first, path = checkpoint_facts(folder), folder / "config.json"
    path.write_text(path.read_text() + "\n")
    assert checkpoint_facts(folder).digest != first.digest
    assert len(reads) == 2


def test_files_changed_just_now_are_not_vouched_for(
    folder: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "SETTLED_SECONDS", 10.0)
    assert checkpoint_facts(folder) == checkpoint_facts(folder)
    assert len(reads) == 2


def test_what_may_not_be_kept_is_read_each_time(folder: Path, reads: list[Path]) -> None:
    found = KnownWeights(digest="d", num_parameters=1, constant=())
    known_weights.remember_weights(folder, "c", lambda: found, may_keep=lambda: False)
    assert known_weights.known_weights(folder, "c") is None
    known_weights.remember_weights(folder, "c", lambda: found, may_keep=lambda: True)
    assert known_weights.known_weights(folder, "c") == found
    assert not reads


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "stamp": 3, "weights": []}'])
def test_a_damaged_cache_is_as_good_as_none(folder: Path, reads: list[Path], content: str) -> None:
    first = checkpoint_facts(folder)
    (path,) = (user_cache_dir() / "weights").iterdir()
    kept = json.loads(path.read_text())
    path.write_text(content)
    assert checkpoint_facts(folder) == first
    assert json.loads(path.read_text()) == kept
    assert len(reads) == 2
