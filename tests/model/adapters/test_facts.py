"""The facts of a checkpoint behind an adapter: its digest changes with what changes its outputs, and else not."""

import shutil
from pathlib import Path

import pytest

from ft_eval.errors import CheckpointError
from ft_eval.model.adapters.facts import read_facts
from tests.fakes import write_checkpoint
from tests.model.adapters.layouts import bryanvine_config, bryanvine_weights, write_bryanvine

OWN = "tests.model.adapters.own_model"


def write(folder: Path, *, seed: int = 0) -> Path:
    """A run of bryanvine's."""
    folder.mkdir()
    config = bryanvine_config()
    return write_bryanvine(folder / "best.pt", config, bryanvine_weights(config, seed=seed))


def test_the_digest_is_of_the_weights_and_not_of_the_place(tmp_path: Path) -> None:
    first, other = write(tmp_path / "a"), write(tmp_path / "b", seed=1)
    (tmp_path / "c").mkdir()
    copy = Path(shutil.copy(first, tmp_path / "c"))
    assert read_facts(first).digest == read_facts(copy).digest == read_facts(tmp_path / "a").digest
    assert read_facts(first).digest != read_facts(other).digest


def test_a_tied_readout_counts_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    weights = bryanvine_weights(bryanvine_config())
    folded = 2 * 16 - 16  # two norms of the encoder become one
    expected = sum(tensor.numel() for name, tensor in weights.items() if name != "lm_head.weight") - folded
    assert read_facts(path).num_parameters == expected


def test_the_digest_tells_adapters_apart(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "ours", num_bits=3)
    names = (None, f"{OWN}:OwnModel", f"{OWN}:Forgetful")
    assert len({read_facts(folder, adapter=name).digest for name in names}) == 3


def test_an_adapter_without_weights_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights file"):
        read_facts(tmp_path, adapter=f"{OWN}:Untrained")
