"""The adapter against the real x-transformers, where it is installed: its own losses, its own generation's logits.

Its import warns of what it uses of torch; only that is let by.
"""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from ft_eval.errors import CheckpointError
from ft_eval.model.adapters.convert import convert
from ft_eval.model.adapters.decoder_cache import DecoderCache
from ft_eval.model.adapters.opening import open_model
from ft_eval.model.adapters.selfcheck import self_check
from ft_eval.model.adapters.xtransformers import XTransformersModel, parse_arguments

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    library: Any = pytest.importorskip(
        "x_transformers.free_transformer", reason="x-transformers is not installed: pip install x-transformers"
    )

ARGUMENTS: dict[str, Any] = {
    "num_tokens": 32,
    "dim": 32,
    "dec_head_depth": 2,
    "dec_tail_depth": 2,
    "max_seq_len": 64,
    "heads": 2,
    "attn_dim_head": 64,
    "latent_bits": 4,
    "kl_loss_threshold": 0.3,
}


def train(num_steps: int, **changes: Any) -> Any:
    """A tiny FreeTransformer after some steps on counting modulo 32."""
    torch.manual_seed(0)
    model = library.FreeTransformer(**(ARGUMENTS | changes))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(num_steps):
        tokens = (torch.randint(32, (8, 1)) + torch.arange(20)) % 32
        model(tokens).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@pytest.fixture(scope="module")
def trained() -> Any:
    """A model that has learnt a little."""
    return train(12)


def write(folder: Path, model: Any, **changes: Any) -> Path:
    """State dictionary and arguments, as a user would put them down."""
    folder.mkdir()
    torch.save(model.state_dict(), folder / "model.pt")
    (folder / "config.json").write_text(json.dumps(ARGUMENTS | changes))
    return folder


def adapted(model: Any, **changes: Any) -> XTransformersModel:
    """The model behind the adapter, without a detour over the disk."""
    return XTransformersModel(model, parse_arguments(ARGUMENTS | changes, "arguments"))


def random_input(length: int = 12, num_codes: int = 16) -> tuple[Tensor, Tensor]:
    """Two rows of tokens and codes."""
    generator = torch.Generator().manual_seed(5)
    return (
        torch.randint(32, (2, length), generator=generator),
        torch.randint(num_codes, (2, length), generator=generator),
    )


@pytest.mark.parametrize("num_steps", [0, 12])
def test_every_self_check_passes_untrained_and_trained(tmp_path: Path, num_steps: int) -> None:
    folder = write(tmp_path / "x", train(num_steps))
    model = open_model(folder, adapter=None, dtype=torch.float32, device="cpu")
    assert [check for check in self_check(model) if not check.passed] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"dec_head_depth": 0},
        {"attn_kv_heads": 1},
        {"attn_qk_norm": True},
        {"ff_glu": True, "ff_swish": True},
        {"attn_num_mem_kv": 2},
        {"attn_flash": True},
    ],
)
def test_other_arguments_pass_every_self_check(changes: dict[str, Any]) -> None:
    model = adapted(train(0, **changes), **changes).requires_grad_(requires_grad=False)
    assert [check for check in self_check(model) if not check.passed] == []


def test_the_sources_own_training_loss_comes_out_given_the_same_latents(trained: Any) -> None:
    """Its forward() draws the encoder's Z; the same bits are drawn here by the same random numbers."""
    tokens, _ = random_input()
    model = adapted(trained)
    with torch.no_grad():
        torch.manual_seed(9)
        _, (expected, penalty) = trained.train()(tokens, return_all_losses=True)
        trained.eval()
        x = model.lower(tokens[:, :-1])
        bit_logits = model.encode(x)
        torch.manual_seed(9)
        bits = torch.rand_like(bit_logits) <= bit_logits.sigmoid()
        codes = (bits.long() << torch.arange(4)).sum(-1)
        logits = model.logits(model(tokens[:, :-1], codes=codes))
    got = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(model.source_penalty(bit_logits), penalty)


def test_one_latent_at_all_positions_is_the_sources_own_generation(trained: Any) -> None:
    """With the most likely token chosen each time, generate() and the adapter's cached steps agree."""
    prompt, length, code = torch.tensor([[3, 4, 5], [20, 21, 22]]), 11, 6

    def greedy(logits: Tensor) -> Tensor:
        return torch.full_like(logits, -1e9).scatter(-1, logits.argmax(-1, keepdim=True), 1e9)

    expected = trained.generate(prompt, length, latents=code, filter_logits_fn=greedy, logit_filter_kwargs={})
    model = adapted(trained)
    cache, tokens = model.new_cache(2, length), prompt
    with torch.no_grad():
        hidden = model(prompt, codes=torch.full_like(prompt, code), cache=cache)
        while tokens.shape[1] < length:
            new = model.logits(hidden[:, -1]).argmax(-1, keepdim=True)
            at = torch.full_like(new, tokens.shape[1])
            tokens = torch.cat((tokens, new), dim=1)
            hidden = model(new, codes=torch.full_like(new, code), positions=at, cache=cache)
    assert tokens.tolist() == expected.tolist()


def test_codes_of_minus_one_are_the_sources_generation_without_latents(trained: Any) -> None:
    tokens, codes = random_input()
    model = adapted(trained)
    plain = trained.token_unembed(trained.decoder_tail(trained.decoder_head(trained.token_emb(tokens))))
    torch.testing.assert_close(model.logits(model(tokens, codes=torch.full_like(codes, -1))), plain)


def test_padding_changes_no_bit_logit_of_a_row(trained: Any) -> None:
    tokens, _ = random_input()
    model = adapted(trained)
    alone = model.encode(model.lower(tokens[:, :7]))
    padded = model.encode(model.lower(tokens), lengths=torch.tensor([7, 7]))
    torch.testing.assert_close(padded[:, :7], alone)


class WithoutPositions(XTransformersModel):
    """As earlier versions encoded: no positions for the queries."""

    def encode(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """Bit logits, the same for every position."""
        pooled = self.inner.encoder(self.inner.query_token_for_latents.expand_as(x), context=x)
        bit_logits: Tensor = self.inner.to_latent_bit_logits(pooled)
        return bit_logits


class InTheStream(XTransformersModel):
    """R in the residual stream."""

    def upper(self, x: Tensor, *, residual: Tensor | None = None, **keywords: Any) -> Tensor:
        """Hidden states."""
        return super().upper(x if residual is None else x + residual, **keywords)


class LosingCache(DecoderCache):
    """A moved row lacks its newest key, which the one before it stands in for."""

    def move_row(self, src: int, dst: int, length: int) -> None:
        """Copy a row whose last position is the last but one."""
        super().move_row(src, dst, length)
        for name, layers in self._rows[dst].items():
            self._rows[dst][name] = tuple(
                tuple(
                    None if part is None else torch.cat((part[..., :-1, :], part[..., -2:-1, :]), -2) for part in layer
                )
                for layer in layers
            )


class WithALosingCache(XTransformersModel):
    """A cache bug."""

    def new_cache(self, num_rows: int, max_length: int) -> DecoderCache:
        """The broken cache."""
        return LosingCache(num_rows, max_length)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (WithoutPositions, ["encoder positions"]),
        (InTheStream, ["keys and values only"]),
        (WithALosingCache, ["cached = uncached"]),
    ],
)
def test_a_planted_defect_fails_its_check(trained: Any, kind: type[XTransformersModel], expected: list[str]) -> None:
    model = kind(trained, parse_arguments(ARGUMENTS, "arguments"))
    assert [check.name for check in self_check(model) if not check.passed] == expected


def test_it_is_not_converted_and_the_line_says_why(tmp_path: Path, trained: Any) -> None:
    with pytest.raises(CheckpointError, match="adds R after the first tail block's norm"):
        convert(write(tmp_path / "x", trained), tmp_path / "out")


def test_safetensors_and_wrapped_dictionaries_load_too(tmp_path: Path, trained: Any) -> None:
    tokens, codes = random_input()
    expected = adapted(trained)(tokens, codes=codes)
    wrapped, safe = write(tmp_path / "wrapped", trained), write(tmp_path / "safe", trained)
    torch.save({"model": trained.state_dict(), "step": 3}, wrapped / "model.pt")
    (safe / "model.pt").unlink()
    save_file(trained.state_dict(), safe / "model.safetensors")
    for folder in (wrapped, safe):
        model = open_model(folder, adapter=None, dtype=torch.float32, device="cpu")
        torch.testing.assert_close(model(tokens, codes=codes), expected)


def _drop(state: dict[str, Tensor]) -> None:
    del state["token_emb.weight"]


def _reshape(state: dict[str, Tensor]) -> None:
    state["query_token_for_latents"] = torch.zeros(3)


def _add(state: dict[str, Tensor]) -> None:
    state["more"] = torch.zeros(3)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (_drop, {}, r"token_emb\.weight is missing, expected shape \[32, 32\]"),
        (_reshape, {}, r"query_token_for_latents has shape \[3\], expected \[32\] from config\.json"),
        (_add, {}, "tensor more is not in the model"),
        (None, {"dec_tail_depth": 3}, "is missing"),
        (None, {"num_tokens": 2**26, "latent_bits": 20}, r"has shape \[32, 16\], expected \[32, 1048576\]|token_emb"),
        (None, {"dec_tail_depht": 3}, "x-transformers refuses these arguments"),
        (None, {"per_token_latents": False}, "a latent per token is needed"),
        (None, {"dim": None}, "dim is missing"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path,
    trained: Any,
    change: Callable[[dict[str, Tensor]], None] | None,
    arguments: dict[str, Any],
    message: str,
) -> None:
    folder = write(tmp_path / "x", trained, **arguments)
    if change is not None:
        state = trained.state_dict()
        change(state)
        torch.save(state, folder / "model.pt")
    with pytest.raises(CheckpointError, match=message):
        open_model(folder, adapter=None, dtype=torch.float32, device="cpu")


def test_a_cache_that_ends_too_early_is_refused(trained: Any) -> None:
    model = adapted(trained)
    tokens, codes = random_input(3)
    cache = model.new_cache(2, 8)
    model(tokens, codes=codes, cache=cache)
    for positions, message in (([[5], [3]], "ends before position 5"), ([[8], [8]], "beyond the cache's 8 positions")):
        with pytest.raises(ValueError, match=message):
            model(tokens[:, :1], codes=codes[:, :1], positions=torch.tensor(positions), cache=cache)
    with pytest.raises(ValueError, match="without gaps"):
        model(tokens[:, :2], codes=codes[:, :2], positions=torch.tensor([[1, 3], [1, 2]]), cache=cache)
