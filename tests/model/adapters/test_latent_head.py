"""A hub folder with a latent head: whatever shape its post-sampler has, the folder written computes the same."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ft_eval.errors import CheckpointError
from ft_eval.model.adapters.bryanvine import expand_factored
from ft_eval.model.adapters.convert import convert
from ft_eval.model.adapters.latent_head import load_latent_head
from ft_eval.model.adapters.opening import Layout, identify
from ft_eval.model.checkpoint import load_model, save_model
from ft_eval.model.config import LatentConfig
from tests.model.tiny import BASELINE, LATENT, random_codes, random_tokens, tiny_model

HEAD = replace(BASELINE, latent=LatentConfig(num_bits=4, kappa_bits=0.5))
TABLE = "latent.post_sampler.weight"
Change = Callable[[dict[str, Tensor]], None]


def write(folder: Path, change: Change | None = None, *, num_bits: int = 4, **fields: Any) -> Path:
    """A Llama's config.json beside the weights of a latent model, after a change of either."""
    save_model(tiny_model(replace(BASELINE, latent=LatentConfig(num_bits=num_bits))), folder)
    tensors = load_file(folder / "model.safetensors")
    if change is not None:
        change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    save_model(tiny_model(BASELINE), folder / "plain")
    raw = json.loads((folder / "plain" / "config.json").read_text())
    assert raw["model_type"] == "llama"
    (folder / "config.json").write_text(json.dumps(raw | fields))
    return folder


def without(name: str) -> Change:
    """A tensor is missing."""

    def change(tensors: dict[str, Tensor]) -> None:
        del tensors[name]

    return change


def turn(tensors: dict[str, Tensor]) -> None:
    """The post-sampler as a linear layer's weight."""
    tensors[TABLE] = tensors[TABLE].T


def add_prefix(tensors: dict[str, Tensor]) -> None:
    """The head inside the backbone."""
    for name in [name for name in tensors if name.startswith("latent.")]:
        tensors[f"model.{name}"] = tensors.pop(name)


@pytest.mark.parametrize("change", [None, turn, add_prefix])
def test_a_converted_folder_computes_what_the_head_computes(tmp_path: Path, change: Change | None) -> None:
    folder = write(tmp_path / "src", change, latent_kappa_bits=0.5)
    assert identify(folder).layout is Layout.LATENT_HEAD
    convert(folder, tmp_path / "out")
    expected, got = tiny_model(HEAD), load_model(tmp_path / "out")
    assert got.config == HEAD
    token_ids, codes = random_tokens(2, 11), random_codes(2, 11, num_codes=16)
    torch.testing.assert_close(got(token_ids, codes=codes), expected(token_ids, codes=codes))
    torch.testing.assert_close(got.encode(got.lower(token_ids)), expected.encode(expected.lower(token_ids)))


def test_a_factored_post_sampler_becomes_its_table(tmp_path: Path) -> None:
    weight = torch.randn(32, 4, generator=torch.Generator().manual_seed(3))
    folder = write(tmp_path / "src", lambda tensors: tensors.update({TABLE: weight}))
    convert(folder, tmp_path / "out")
    model = load_model(tmp_path / "out")
    torch.testing.assert_close(model.post_sample(torch.arange(16)[None])[0], expand_factored(weight))


def test_a_tied_readout_need_not_be_written(tmp_path: Path) -> None:
    folder = write(tmp_path / "src", without("lm_head.weight"), tie_word_embeddings=True)
    convert(folder, tmp_path / "out")
    assert load_model(tmp_path / "out").config.tie_embeddings


def test_the_end_tokens_of_a_generation_config_go_along(tmp_path: Path) -> None:
    folder = write(tmp_path / "src")
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 7]}')
    convert(folder, tmp_path / "out")
    assert load_model(tmp_path / "out").config.eos_token_ids == (2, 7)


def test_weights_keep_their_type(tmp_path: Path) -> None:
    def halve(tensors: dict[str, Tensor]) -> None:
        tensors.update({name: tensor.bfloat16() for name, tensor in tensors.items()})

    convert(write(tmp_path / "src", halve, dtype="bfloat16"), tmp_path / "out")
    assert load_file(tmp_path / "out" / "model.safetensors")[TABLE].dtype is torch.bfloat16


def test_a_plain_llama_and_our_own_folders_need_no_conversion(tmp_path: Path) -> None:
    save_model(tiny_model(BASELINE), tmp_path / "plain")
    save_model(tiny_model(), tmp_path / "ours")
    assert identify(tmp_path / "plain").layout is Layout.OURS
    assert identify(tmp_path / "ours").layout is Layout.OURS


@pytest.mark.parametrize(
    ("change", "fields", "message"),
    [
        (without("latent.zeta"), {}, "latent.zeta is missing, expected shape [32]"),
        (without("latent.encoder.readout.weight"), {}, "no matrix latent.encoder.readout.weight"),
        (lambda t: t.update({TABLE: torch.zeros(7, 3)}), {}, "shape [7, 3], expected [16, 32], [32, 16] or [32, 4]"),
        (lambda t: t.update({"latent.more": torch.zeros(1)}), {}, "1 tensors are unknown (latent.more)"),
        (None, {"latent_num_bits": 6}, "latent_num_bits is 6, expected 4"),
        (None, {"model_type": "gpt2"}, "model_type 'gpt2' is not supported"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, change: Change | None, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=re.escape(message)):
        load_latent_head(write(tmp_path / "src", change, **fields), dtype=torch.float32, device="cpu")


def test_a_square_post_sampler_is_refused_as_ambiguous(tmp_path: Path) -> None:
    folder = write(tmp_path / "src", num_bits=5)
    assert LATENT.hidden_size == 2**5
    with pytest.raises(CheckpointError, match="could be a row or a column per code"):
        load_latent_head(folder, dtype=torch.float32, device="cpu")
