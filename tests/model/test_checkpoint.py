"""A folder loads as it was saved, and is whole or no checkpoint."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ft_eval.errors import CheckpointError
from ft_eval.model.checkpoint import (
    count_parameters,
    load_model,
    read_config,
    save_model,
    weights_digest,
)
from tests.model.spoiled import assert_refused, edit_weights, shard
from tests.model.tiny import BASELINE, LATENT, random_codes, random_tokens, tiny_model


@pytest.mark.parametrize("config", [BASELINE, LATENT], ids=["baseline", "latent"])
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_a_saved_model_comes_back_the_same(config: Any, tied: bool, tmp_path: Path) -> None:
    model = tiny_model(config, tie_embeddings=tied)
    save_model(model, tmp_path / "deep" / "folder")
    loaded = load_model(tmp_path / "deep" / "folder")
    assert loaded.config == model.config
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    tokens, codes = random_tokens(1, 9), random_codes(1, 9) if config.latent else None
    assert torch.equal(loaded(tokens, codes=codes), model(tokens, codes=codes))
    assert count_parameters(tmp_path / "deep" / "folder") == sum(p.numel() for p in model.parameters())


def test_saving_leaves_the_files_of_a_checkpoint_and_no_others(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float32"


def test_a_folder_is_no_checkpoint_until_its_last_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save that stops anywhere leaves a folder that is refused, not one that half loads."""
    replaced: list[str] = []
    replace = Path.replace

    def noted(self: Path, target: Path) -> Path:
        replaced.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    save_model(tiny_model(BASELINE), tmp_path, tokenizer_json=b"{}")
    assert replaced == ["model.safetensors", "tokenizer.json", "config.json"]


def test_whoever_may_read_the_config_may_read_the_weights(folder: Path) -> None:
    assert len({(folder / name).stat().st_mode for name in ("config.json", "model.safetensors", "tokenizer.json")}) == 1


def test_saving_again_never_mixes_an_old_config_with_new_weights(folder: Path) -> None:
    no_bytes: Any = "a save that fails half-way"
    with pytest.raises(TypeError):
        save_model(tiny_model(BASELINE), folder, tokenizer_json=no_bytes)
    assert_refused(folder, "is not a checkpoint: it has no config.json")


def test_weights_are_converted_to_the_type_asked_for(folder: Path) -> None:
    loaded = load_model(folder, dtype=torch.bfloat16)
    assert {p.dtype for p in loaded.parameters()} == {torch.bfloat16}
    assert torch.equal(loaded.lm_head.weight, load_file(folder / "model.safetensors")["lm_head.weight"].bfloat16())


def test_weights_that_need_no_conversion_stay_in_the_file(folder: Path) -> None:
    """Memory-mapped: no anonymous copy is made, so the mapping of the file holds the tensors."""
    loaded = load_model(folder)
    address = loaded.lm_head.weight.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, stop = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < stop:
            assert line.endswith("model.safetensors")
            return
    pytest.fail("the weights are in no mapping")


def test_digest_is_the_sha256_of_the_files_in_name_order(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    assert weights_digest(folder) == hashlib.sha256(whole).hexdigest()
    shard(folder)
    parts = (folder / "a.safetensors").read_bytes() + (folder / "b.safetensors").read_bytes()
    assert weights_digest(folder) == hashlib.sha256(parts).hexdigest()


def test_tensors_that_the_config_determines_are_let_be(folder: Path) -> None:
    edit_weights(folder, lambda t: t.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}))
    load_model(folder)


def test_a_readout_stored_beside_a_tied_embedding_must_equal_it(tmp_path: Path) -> None:
    save_model(tiny_model(BASELINE, tie_embeddings=True), tmp_path)
    edit_weights(tmp_path, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()}))
    load_model(tmp_path)
    edit_weights(tmp_path, lambda t: t.update({"lm_head.weight": t["lm_head.weight"] + 1}))
    with pytest.raises(CheckpointError, match=r"tie_word_embeddings is true but lm_head.weight differs"):
        load_model(tmp_path)


def test_reading_the_config_reads_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert read_config(folder) == LATENT
