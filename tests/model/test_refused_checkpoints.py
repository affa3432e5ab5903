"""A folder that is no sound checkpoint fails with one line that says what is wrong and what to do."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ft_eval.errors import CheckpointError
from ft_eval.model.checkpoint import (
    check_weights,
    count_parameters,
    load_model,
    weights_digest,
)
from tests.model.spoiled import LFS_POINTER, assert_refused, edit_config, edit_weights, shard, write_index


def test_folders_that_are_no_checkpoints(tmp_path: Path) -> None:
    assert_refused(tmp_path / "absent", "no such folder: .*absent")
    assert_refused(tmp_path, "is not a checkpoint: it has no config.json")
    (tmp_path / "config.json").write_text("{}")
    assert_refused(tmp_path / "config.json", "is a file, expected the checkpoint's folder")
    assert_refused(tmp_path, "model_type is missing")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"model_type": ', "config.json is not valid JSON: Expecting value"),
        (b"\xff\xfe{}", "config.json is not valid JSON"),
        (b"[1]", "config.json holds a JSON list, expected an object"),
        (b"[" * 100_000, "config.json is nested too deeply"),
        (b"1" * 5000, "config.json is not valid JSON"),
        (LFS_POINTER, "config.json is a Git LFS pointer, not the file itself; run `git lfs pull`"),
        (b" " * (10 * 2**20 + 1), "config.json has 10485761 bytes, expected at most 10485760"),
    ],
    ids=["cut off", "not UTF-8", "list", "deep", "digits", "LFS pointer", "huge"],
)
def test_config_files_that_are_none(folder: Path, data: bytes, message: str) -> None:
    (folder / "config.json").write_bytes(data)
    assert_refused(folder, message)


def test_a_config_that_is_a_folder(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    assert_refused(folder, "config.json is not a file")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 62}, r"model.embed_tokens.weight has shape \[61, 32\], expected \[62, 32\] .*vocab_size × hid"),
        ({"num_key_value_heads": 1}, r"k_proj.weight has shape \[16, 32\], expected \[8, 32\] .*num_key_value_heads"),
        ({"intermediate_size": 50}, r"gate_proj.weight has shape \[48, 32\], expected \[50, 32\] .*intermediate_size"),
        (
            {"latent_num_bits": 6},
            r"latent.encoder.readout.weight has shape \[5, 32\], expected \[6, 32\] .*latent_num_b",
        ),
        (
            {"num_hidden_layers": 3},
            r"9 tensors are \(model.layers.3.* in the weights but not .*; see num_hidden_layers",
        ),
        ({"num_hidden_layers": 5}, r"9 tensors are \(model.layers.4.* missing from the weights; see num_hidden_layers"),
        ({"mlp_bias": True}, r"15 tensors are \(model.layers.0.mlp.gate_proj.bias, .*missing from the weights"),
        (
            {"latent_num_bits": None, "latent_kappa_bits": None},
            "latent.* but not in the model; see model_type and latent",
        ),
        ({"model_type": "llama"}, "latent_num_bits needs model_type 'free_transformer', got 'llama'"),
    ],
)
def test_configs_that_don_t_fit_the_weights(folder: Path, changes: dict[str, object], message: str) -> None:
    edit_config(folder, **changes)
    assert_refused(folder, message)
    if "latent_num_bits needs" not in message:
        with pytest.raises(CheckpointError, match=message):
            count_parameters(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("lm_head.weight"), r"1 tensor is \(lm_head.weight\) missing .*see tie_word_embeddings"),
        (lambda t: t.pop("latent.zeta"), r"\(latent.zeta\) missing .*see model_type and latent_num_bits"),
        (lambda t: t.update(odd=torch.ones(1)), r"1 tensor is \(odd\) in the weights but not in the model"),
        (
            lambda t: t["latent.zeta"][:3].fill_(torch.nan),
            r"latent.zeta has 3 numbers that are NaN or infinite \(of 32\)",
        ),
        (lambda t: t["lm_head.weight"][0, 0].fill_(torch.inf), "lm_head.weight has 1 numbers that are NaN or infinite"),
        (
            lambda t: t.update({"latent.zeta": torch.ones(32, dtype=torch.int8)}),
            "has type I8, expected one of F64, F32",
        ),
        (
            lambda t: [t.update({n.removeprefix("model."): t.pop(n)}) for n in list(t) if n.startswith("model.")],
            "saved without the `model.`",
        ),
    ],
    ids=["no readout", "no zeta", "extra", "NaN", "infinite", "integers", "bare names"],
)
def test_weights_that_don_t_fit_the_config(folder: Path, edit: Any, message: str) -> None:
    edit_weights(folder, edit)
    assert_refused(folder, message)


def test_checking_the_weights_finds_what_loading_would(folder: Path) -> None:
    check_weights(folder)
    edit_weights(folder, lambda t: t["latent.zeta"][:3].fill_(torch.nan))
    with pytest.raises(CheckpointError, match=r"latent.zeta has 3 numbers that are NaN or infinite \(of 32\)"):
        check_weights(folder)


def test_numbers_too_large_for_the_type_asked_for(folder: Path) -> None:
    edit_weights(folder, lambda t: t["latent.zeta"][0].fill_(1e6))
    load_model(folder, dtype=torch.bfloat16)
    with pytest.raises(
        CheckpointError, match=r"latent.zeta has 1 numbers too large for float16; use bfloat16 or float32"
    ):
        load_model(folder, dtype=torch.float16)


def test_truncated_weights_at_any_length(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for size in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert_refused(folder, rf"model.safetensors \({size} bytes.*\) is truncated or not a safetensors file")


def test_weights_that_are_no_safetensors(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(LFS_POINTER)
    assert_refused(folder, "model.safetensors is a Git LFS pointer")
    with pytest.raises(CheckpointError, match="Git LFS pointer"):
        weights_digest(folder)
    path.write_bytes(b"\xff" * 64)  # a header of 2^64 bytes
    assert_refused(folder, "truncated or not a safetensors file")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "last.ckpt", "weights.pkl"])
def test_pickles_are_never_loaded(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    assert_refused(folder, f"only as {name}, a pickle, .*never loaded; convert it once .*safetensors.torch.save_file")


def test_folders_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter.safetensors")
    assert_refused(folder, "has no model.safetensors and no model.safetensors.index.json; it has adapter.safetensors")
    (folder / "adapter.safetensors").unlink()
    assert_refused(folder, "has no model.safetensors and no model.safetensors.index.json$")


def test_shards_and_their_index(folder: Path) -> None:
    expected = load_model(folder).state_dict()["latent.zeta"].clone()
    index = shard(folder)
    assert torch.equal(load_model(folder).state_dict()["latent.zeta"], expected)

    write_index(folder, {"weight_map": index["weight_map"] | {"latent.zeta": "../b.safetensors"}})
    assert_refused(folder, r"points to '../b.safetensors', expected the name of a .safetensors file in its own folder")
    write_index(folder, {"weight_map": index["weight_map"] | {"latent.zeta": "b.bin"}})
    assert_refused(folder, "points to 'b.bin'")
    write_index(folder, {"weight_map": index["weight_map"] | {"latent.zeta": "c.safetensors"}})
    assert_refused(folder, "names the shard c.safetensors, which is missing")
    write_index(folder, {"weight_map": index["weight_map"] | {"odd": "a.safetensors"}})
    assert_refused(folder, "puts tensor odd in a.safetensors, where it is not")
    write_index(folder, {"weight_map": index["weight_map"] | {"odd": 3}})
    assert_refused(folder, "weight_map must name a file for every tensor")
    write_index(folder, {})
    assert_refused(folder, "weight_map is missing or empty")


def test_a_tensor_in_two_shards(folder: Path) -> None:
    index = shard(folder)
    (folder / "b.safetensors").write_bytes((folder / "a.safetensors").read_bytes())
    first = min(name for name, part in index["weight_map"].items() if part == "a.safetensors")
    assert_refused(folder, f"tensor {first} is in both a.safetensors and .*b.safetensors")
