"""What a path is: known layouts are recognised, others refused with what was found."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ft_eval.errors import CheckpointError, UsageError
from ft_eval.model.adapters.opening import Layout, identify, open_model
from tests.fakes import write_checkpoint
from tests.model.adapters.layouts import bryanvine_config, bryanvine_weights, write_bryanvine

ARGUMENTS = {"num_tokens": 32, "dim": 32, "dec_head_depth": 1, "dec_tail_depth": 1, "max_seq_len": 32}


def save(path: Path, value: Any) -> Path:
    """A file of torch.save."""
    path.parent.mkdir(exist_ok=True)
    torch.save(value, path)
    return path


def test_a_run_of_bryanvine_is_its_best_file(tmp_path: Path) -> None:
    config = bryanvine_config(model_type="baseline")
    best = write_bryanvine(tmp_path / "best.pt", config, bryanvine_weights(config))
    save(tmp_path / "ckpt.pt", {"model": {}, "model_cfg": {}, "optimizer": {}})
    (tmp_path / "config.json").write_text(json.dumps({"model": config, "train": {}}))
    assert identify(tmp_path).path == best
    assert identify(best).layout is Layout.BRYANVINE


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"model": state, "step": 3}])
def test_a_state_dictionary_of_x_transformers_is_known_by_its_query(tmp_path: Path, wrap: Any) -> None:
    path = save(tmp_path / "model.pt", wrap({"query_token_for_latents": torch.zeros(4)}))
    assert identify(path).layout is Layout.X_TRANSFORMERS
    with pytest.raises(CheckpointError, match=r"has no config\.json; a state dictionary doesn't tell its model"):
        open_model(path, adapter=None, dtype=torch.float32, device="cpu")


def test_a_folder_with_arguments_is_of_x_transformers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(ARGUMENTS))
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert identify(tmp_path).layout is Layout.X_TRANSFORMERS
    assert identify(tmp_path / "model.safetensors").layout is Layout.X_TRANSFORMERS


def test_without_x_transformers_the_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps(ARGUMENTS))
    save(tmp_path / "model.pt", {"query_token_for_latents": torch.zeros(32)})
    monkeypatch.setitem(sys.modules, "x_transformers", None)
    monkeypatch.delitem(sys.modules, "x_transformers.free_transformer", raising=False)
    with pytest.raises(UsageError, match="install it: pip install x-transformers"):
        open_model(tmp_path, adapter=None, dtype=torch.float32, device="cpu")


def test_our_own_folder_opens_as_it_is(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "ours", num_bits=3)
    assert open_model(folder, adapter=None, dtype=torch.float32, device="cpu").config.latent.num_bits == 3


def test_what_has_no_known_layout_is_refused_with_what_was_found(tmp_path: Path) -> None:
    ours = write_checkpoint(tmp_path / "ours")
    udapy = save(tmp_path / "a" / "u.pt", {"model_state_dict": {}, "optimizer_state_dict": {}, "step": 1})
    other = save(tmp_path / "b" / "o.pt", {"weights": {}, "epoch": 1})
    for path, message in (
        (tmp_path / "gone", "no such file or folder"),
        (udapy, "model_state_dict without a config"),
        (udapy.parent, "model_state_dict without a config"),
        (other, r"it holds epoch, weights"),
        (tmp_path, "is no checkpoint of a known layout"),
        (ours / "model.safetensors", "is a weights file; give its folder"),
    ):
        with pytest.raises(CheckpointError, match=message) as error:
            identify(path)
        assert "\n" not in str(error.value)
