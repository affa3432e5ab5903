"""bryanvine/free-transformer's checkpoints: what is read computes what its equations say; what is off is named."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ft_eval.errors import CheckpointError
from ft_eval.model.adapters.bryanvine import expand_factored, load_bryanvine
from ft_eval.model.adapters.convert import convert
from ft_eval.model.adapters.selfcheck import self_check
from ft_eval.model.checkpoint import load_model
from tests.model.adapters.layouts import BryanvineReference, bryanvine_config, bryanvine_weights, write_bryanvine

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 36]
CODES = [0, 31, 7, 7, 16, 1, 2, 30, 21, 10, 5, 11]


def write(tmp_path: Path, *, bias: bool = False, **changes: Any) -> tuple[Path, BryanvineReference]:
    """A checkpoint and its slow reference."""
    config = bryanvine_config(**changes)
    weights = bryanvine_weights(config, bias=bias)
    return write_bryanvine(tmp_path / "best.pt", config, weights), BryanvineReference(config, weights)


def logits(model: Any, codes: list[int] | None) -> torch.Tensor:
    """(T, V) of the one sequence."""
    given = None if codes is None else torch.tensor([codes])
    scores: torch.Tensor = model.logits(model(torch.tensor([TOKENS]), codes=given))[0]
    return scores.double()


@pytest.mark.parametrize("tie", [True, False])
def test_a_converted_folder_has_the_sources_logits_and_bit_logits(tmp_path: Path, *, tie: bool) -> None:
    path, reference = write(tmp_path, bias=True, tie_embeddings=tie)
    done = convert(path, tmp_path / "out")
    model = load_model(tmp_path / "out")
    torch.testing.assert_close(logits(model, CODES), reference.logits(TOKENS, CODES), rtol=1e-4, atol=1e-4)
    bits = model.encode(model.lower(torch.tensor([TOKENS])))[0].double()
    torch.testing.assert_close(bits, reference.bit_logits(TOKENS), rtol=1e-4, atol=1e-4)
    assert done.max_logit_difference < 1e-4
    assert model.config.latent is not None
    assert model.config.latent.kappa_bits == 0.5


def test_a_converted_baseline_has_the_sources_logits(tmp_path: Path) -> None:
    path, reference = write(tmp_path, model_type="baseline")
    convert(path, tmp_path / "out")
    model = load_model(tmp_path / "out")
    assert model.config.latent is None
    torch.testing.assert_close(logits(model, None), reference.logits(TOKENS, None), rtol=1e-4, atol=1e-4)


def test_the_adapter_runs_what_a_folder_of_ours_cannot(tmp_path: Path) -> None:
    """A bias of the encoder's readout, and an injection that is not half-way up."""
    path, reference = write(tmp_path, bias=True, inject_layer=1)
    model = load_bryanvine(path, dtype=torch.float32, device="cpu")
    torch.testing.assert_close(logits(model, CODES), reference.logits(TOKENS, CODES), rtol=1e-4, atol=1e-4)
    bits = model.encode(model.lower(torch.tensor([TOKENS])))[0].double()
    torch.testing.assert_close(bits, reference.bit_logits(TOKENS), rtol=1e-4, atol=1e-4)


def test_a_code_of_minus_one_switches_the_residual_off(tmp_path: Path) -> None:
    path, _ = write(tmp_path)
    model = load_bryanvine(path, dtype=torch.float32, device="cpu")
    assert not model.post_sample(torch.tensor([[-1, -1]])).any()
    assert model.post_sample(torch.tensor([[0, 31]])).any(-1).all()


def test_the_expanded_table_has_each_codes_row() -> None:
    weight = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    table = expand_factored(weight)
    for code in range(8):
        signs = torch.tensor([1.0 if code >> bit & 1 else -1.0 for bit in range(3)])
        torch.testing.assert_close(table[code], weight @ signs)


def test_the_adapter_passes_its_self_checks(tmp_path: Path) -> None:
    path, _ = write(tmp_path, bias=True)
    assert [
        check for check in self_check(load_bryanvine(path, dtype=torch.float32, device="cpu")) if not check.passed
    ] == []


def test_what_no_folder_computes_is_not_converted_and_the_line_says_why(tmp_path: Path) -> None:
    path, _ = write(tmp_path, inject_layer=1)
    with pytest.raises(CheckpointError, match="R enters at block 1") as error:
        convert(path, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def _drop(weights: dict[str, Any]) -> None:
    del weights["blocks.2.attn.k_proj.weight"]


def _reshape(weights: dict[str, Any]) -> None:
    weights["post_sampler.weight"] = torch.zeros(5, 16)


def _add(weights: dict[str, Any]) -> None:
    weights["blocks.2.attn.k_proj.bias"] = torch.zeros(16)


def _untie(weights: dict[str, Any]) -> None:
    weights["lm_head.weight"] = weights["tok_emb.weight"] + 1


def _spoil(weights: dict[str, Any]) -> None:
    weights["norm_f.weight"] = torch.full((16,), float("nan"))


def _replace(weights: dict[str, Any]) -> None:
    weights["norm_f.weight"] = [1.0] * 16


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (_drop, "blocks.2.attn.k_proj.weight is missing, expected shape [16, 16]"),
        (_reshape, "post_sampler.weight has shape [5, 16], expected [16, 5]"),
        (_add, "1 tensors are unknown (blocks.2.attn.k_proj.bias)"),
        (_untie, "tie_embeddings is true, but lm_head.weight differs"),
        (_spoil, "norm_f.weight has numbers that are no finite floats"),
        (_replace, "norm_f.weight is a list, expected a tensor"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, break_it: Callable[[dict[str, Any]], None], message: str
) -> None:
    config = bryanvine_config()
    weights = bryanvine_weights(config)
    break_it(weights)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        load_bryanvine(write_bryanvine(tmp_path / "best.pt", config, weights), dtype=torch.float32, device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_model": 17}, "d_model is 17, expected a multiple of n_head (2)"),
        ({"latent_bits": 25}, "latent_num_bits is 25, expected 1 to 24"),
        ({"inject_layer": 4}, "inject_layer is 4, expected a whole number from -1 to 3"),
        ({"model_type": "fre"}, 'model_type is "fre", expected baseline or free'),
        ({"n_layer": None}, "n_layer is missing"),
    ],
)
def test_configs_that_do_not_fit_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    weights = bryanvine_weights(bryanvine_config())
    path = write_bryanvine(tmp_path / "best.pt", bryanvine_config(**changes), weights)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        load_bryanvine(path, dtype=torch.float32, device="cpu")
