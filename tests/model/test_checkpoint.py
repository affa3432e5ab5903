"""A folder loads as it was saved, or fails with one line that says what is wrong and what to do."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ft_eval.errors import CheckpointError
from ft_eval.model.checkpoint import (
    check_weights,
    count_parameters,
    load_model,
    read_config,
    save_model,
    weights_digest,
)
from tests.model.tiny import BASELINE, LATENT, random_codes, random_tokens, tiny_model

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound latent checkpoint, for a test to spoil."""
    save_model(tiny_model(LATENT), tmp_path / "latent", tokenizer_json=b"{}")
    return tmp_path / "latent"


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")


def shard(folder: Path) -> dict[str, Any]:
    """Split the weights in two shards; the index's object."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for part, members in parts.items():
        save_file({name: tensors[name].clone() for name in members}, folder / part)
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {name: part for part, members in parts.items() for name in members}}
    write_index(folder, index)
    return index


def write_index(folder: Path, index: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


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


def assert_refused(folder: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        load_model(folder)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600


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


def test_reading_the_config_reads_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert read_config(folder) == LATENT
