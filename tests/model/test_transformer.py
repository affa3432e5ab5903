"""What the decoder must hold: it computes the equations, its cache changes nothing, Z enters at one place only."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ft_eval.errors import CheckpointError
from ft_eval.model.cache import KVCache
from ft_eval.model.config import RopeScaling
from ft_eval.model.latent import NO_CODE
from ft_eval.model.transformer import Transformer
from tests.model.reference import reference_encode, reference_forward
from tests.model.tiny import BASELINE, LATENT, random_codes, random_tokens, tiny_model

LLAMA3 = RopeScaling(
    kind="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16
)

SHAPES: dict[str, dict[str, Any]] = {
    "grouped-query": {},
    "multi-head": {"num_kv_heads": 4},
    "multi-query": {"num_kv_heads": 1},
    "wide heads": {"head_dim": 16},
    "odd depth": {"num_layers": 3},
    "tied": {"tie_embeddings": True},
    "biases": {"qkv_bias": True, "output_bias": True, "mlp_bias": True},
    "head norms": {"qk_norm": True},
    "llama3 rope": {"rope_scaling": LLAMA3},
    "linear rope": {"rope_scaling": RopeScaling(kind="linear", factor=4.0)},
}


@pytest.fixture(autouse=True)
def _inference() -> Any:
    with torch.inference_mode():
        yield


def close(actual: Tensor, expected: Tensor, atol: float = 2e-5) -> bool:
    return torch.allclose(actual.double(), expected.double(), rtol=0, atol=atol * float(expected.abs().max()))


@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES)
def test_the_baseline_computes_the_equations(changes: dict[str, Any]) -> None:
    model = tiny_model(BASELINE, **changes)
    tokens = random_tokens(1, 11)
    assert close(model.logits(model(tokens))[0], reference_forward(model, tokens[0], None))


@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES)
def test_the_latent_model_computes_the_equations(changes: dict[str, Any]) -> None:
    """Queries from X, keys and values from X + R, in block L/2 alone; the residual stream carries X."""
    model = tiny_model(LATENT, **changes)
    tokens, codes = random_tokens(1, 11), random_codes(1, 11)
    codes[0, 4] = NO_CODE
    assert close(model.logits(model(tokens, codes=codes))[0], reference_forward(model, tokens[0], codes[0]))


@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES)
def test_the_encoder_computes_the_equations(changes: dict[str, Any]) -> None:
    model = tiny_model(LATENT, **changes)
    tokens = random_tokens(1, 9)
    assert close(model.encode(model.lower(tokens))[0], reference_encode(model, tokens[0]))


def decode(model: Transformer, tokens: Tensor, codes: Tensor | None, *, prefill: int, chunk: int = 1) -> Tensor:
    """Hidden states by a prefill of some tokens and extensions of `chunk` tokens for the rest."""
    cache = KVCache(model.config, len(tokens), tokens.shape[1])

    def part(start: int, stop: int, positions: Tensor | None) -> Tensor:
        z = None if codes is None else codes[:, start:stop]
        hidden: Tensor = model(tokens[:, start:stop], codes=z, positions=positions, cache=cache)
        return hidden

    outs = [part(0, prefill, None)]
    for start in range(prefill, tokens.shape[1], chunk):
        stop = min(start + chunk, tokens.shape[1])
        outs.append(part(start, stop, torch.arange(start, stop).expand(len(tokens), -1)))
    return torch.cat(outs, dim=1)


@pytest.mark.parametrize("config", [BASELINE, LATENT], ids=["baseline", "latent"])
@pytest.mark.parametrize(("prefill", "chunk"), [(1, 1), (7, 1), (7, 5), (19, 40)])
def test_prefill_and_extension_equal_one_forward(config: Any, prefill: int, chunk: int) -> None:
    model, tokens = tiny_model(config), random_tokens(3, 40)
    codes = random_codes(3, 40) if config.latent else None
    assert close(decode(model, tokens, codes, prefill=prefill, chunk=chunk), model(tokens, codes=codes))


def test_rows_of_unequal_length_decode_as_if_alone() -> None:
    """Right padding in the prefill is seen by no one: each row goes on from its own length."""
    model, lengths = tiny_model(), [3, 9, 6]
    tokens, codes = random_tokens(3, 14), random_codes(3, 14)
    cache = KVCache(model.config, 3, 14)
    model(tokens[:, :9], codes=codes[:, :9], cache=cache)  # rows 0 and 2 take in tokens that are not theirs yet
    rows = torch.arange(3)
    for step in range(5):
        positions = torch.tensor(lengths) + step
        hidden = model(
            tokens[rows, positions][:, None],
            codes=codes[rows, positions][:, None],
            positions=positions[:, None],
            cache=cache,
        )
        for row, position in enumerate(positions.tolist()):
            end = position + 1
            alone = model(tokens[row : row + 1, :end], codes=codes[row : row + 1, :end])[0, -1]
            assert close(hidden[row, 0], alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("chunk", [1, 7])
def test_a_row_is_the_same_bit_for_bit_beside_a_longer_row(dtype: torch.dtype, chunk: int) -> None:
    """How far the keys are padded depends on the longest row; the results must not."""
    model = tiny_model(LATENT, max_position_embeddings=2048).to(dtype)
    for length, other in [(20, 70), (100, 300), (200, 600), (290, 450), (300, 513), (520, 1000)]:
        tokens, codes = random_tokens(4, 1000), random_codes(4, 1000)
        alone = _extend(model, tokens, codes, [length] * 4, chunk)
        beside = _extend(model, tokens, codes, [length, other, other, other], chunk)
        assert torch.equal(alone[0], beside[0]), (length, other)


def _extend(model: Transformer, tokens: Tensor, codes: Tensor, lengths: list[int], chunk: int) -> Tensor:
    cache = KVCache(model.config, len(lengths), 1024, model.dtype)
    model(tokens[:, :-chunk], codes=codes[:, :-chunk], cache=cache)
    positions = torch.tensor(lengths)[:, None] + torch.arange(chunk)
    hidden: Tensor = model(tokens[:, -chunk:], codes=codes[:, -chunk:], positions=positions, cache=cache)
    return hidden


def test_zeroed_post_sampler_equals_the_baseline_bit_for_bit() -> None:
    latent = tiny_model(LATENT)
    assert latent.latent is not None
    latent.latent.post_sampler.weight.zero_()
    _assert_equals_baseline(latent, random_codes(3, 30))


def test_latent_switched_off_equals_the_baseline_bit_for_bit() -> None:
    _assert_equals_baseline(tiny_model(LATENT), torch.full((3, 30), NO_CODE))


def _assert_equals_baseline(latent: Transformer, codes: Tensor) -> None:
    baseline = tiny_model(BASELINE, seed=99)
    baseline.load_state_dict({k: v for k, v in latent.state_dict().items() if not k.startswith("latent.")})
    tokens = random_tokens(3, 30)
    for dtype in (torch.float32, torch.bfloat16):
        latent, baseline = latent.to(dtype), baseline.to(dtype)
        assert torch.equal(latent(tokens, codes=codes), baseline(tokens))
    latent, baseline = latent.float(), baseline.float()
    assert torch.equal(decode(latent, tokens, codes, prefill=12), decode(baseline, tokens, None, prefill=12))


def test_codes_do_change_the_output() -> None:
    model, tokens = tiny_model(), random_tokens(2, 12)
    assert not close(model(tokens, codes=random_codes(2, 12)), model(tokens, codes=random_codes(2, 12, seed=1)), 1e-2)


def test_lower_half_of_the_cache_never_sees_the_latent() -> None:
    model, tokens = tiny_model(), random_tokens(2, 12)
    caches = []
    for seed in (0, 1):
        caches.append(KVCache(model.config, 2, 12))
        model(tokens, codes=random_codes(2, 12, seed=seed), cache=caches[-1])
    same = [torch.equal(caches[0].layer(i).keys, caches[1].layer(i).keys) for i in range(model.config.num_layers)]
    assert same == [i < model.config.middle for i in range(model.config.num_layers)]


def test_a_code_changes_no_earlier_hidden_state() -> None:
    model, tokens, codes = tiny_model(), random_tokens(1, 12), random_codes(1, 12)
    changed = codes.clone()
    changed[0, 6] = (changed[0, 6] + 1) % 32
    before, after = model(tokens, codes=codes), model(tokens, codes=changed)
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.equal(before[:, 6], after[:, 6])


def test_a_token_changes_no_earlier_hidden_state() -> None:
    model, tokens, codes = tiny_model(), random_tokens(1, 12), random_codes(1, 12)
    changed = tokens.clone()
    changed[0, 6] = (changed[0, 6] + 1) % model.config.vocab_size
    before, after = model(tokens, codes=codes), model(changed, codes=codes)
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.equal(before[:, 6], after[:, 6])


def test_forward_is_upper_of_lower() -> None:
    model, tokens, codes = tiny_model(), random_tokens(2, 12), random_codes(2, 12)
    parts = model.upper(model.lower(tokens), residual=model.post_sample(codes))
    assert torch.equal(parts, model(tokens, codes=codes))


def test_lower_and_upper_extend_a_cache_as_forward_does() -> None:
    model, tokens, codes = tiny_model(), random_tokens(2, 12), random_codes(2, 12)
    whole, parts = KVCache(model.config, 2, 12), KVCache(model.config, 2, 12)
    positions = torch.arange(8, 12).expand(2, -1)
    model(tokens[:, :8], codes=codes[:, :8], cache=whole)
    model.upper(model.lower(tokens[:, :8], cache=parts), residual=model.post_sample(codes[:, :8]), cache=parts)
    expected = model(tokens[:, 8:], codes=codes[:, 8:], positions=positions, cache=whole)
    x = model.lower(tokens[:, 8:], positions=positions, cache=parts)
    R = model.post_sample(codes[:, 8:])
    assert torch.equal(model.upper(x, residual=R, positions=positions, cache=parts), expected)


def test_logits_take_any_leading_shape() -> None:
    model = tiny_model()
    hidden = model(random_tokens(2, 5), codes=random_codes(2, 5))
    assert close(model.logits(hidden[1, 3]), model.logits(hidden)[1, 3])


def test_encoder_tells_positions_apart_and_looks_both_ways() -> None:
    """Every query is ζ and sees all of X: without RoPE all tokens would get the same logits."""
    model, tokens = tiny_model(), random_tokens(1, 10)
    logits = model.encode(model.lower(tokens))[0]
    assert torch.pdist(logits).min() > 1e-3
    changed = tokens.clone()
    changed[0, 9] = (changed[0, 9] + 1) % model.config.vocab_size
    assert (model.encode(model.lower(changed))[0, 0] - logits[0]).abs().max() > 1e-3


def test_encoder_sees_no_padding_when_told_the_lengths() -> None:
    model, tokens = tiny_model(), random_tokens(3, 10)
    lengths = torch.tensor([4, 10, 7])
    logits = model.encode(model.lower(tokens), lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        assert close(logits[row, :length], model.encode(model.lower(tokens[row : row + 1, :length]))[0])


def test_wrong_calls_say_what_is_wrong() -> None:
    latent, baseline = tiny_model(LATENT), tiny_model(BASELINE)
    tokens, codes = random_tokens(2, 5), random_codes(2, 5)
    with pytest.raises(ValueError, match="a latent model needs codes"):
        latent(tokens)
    with pytest.raises(ValueError, match="no latent"):
        baseline(tokens, codes=codes)
    with pytest.raises(ValueError, match="no latent"):
        baseline.encode(baseline.lower(tokens))
    with pytest.raises(ValueError, match="without a cache"):
        baseline(tokens, positions=torch.arange(5).expand(2, -1))
    with pytest.raises(ValueError, match="position 4 is beyond the cache's 4 positions"):
        baseline(tokens, cache=KVCache(BASELINE, 2, 4))
    with pytest.raises(ValueError, match="2 rows of tokens came with a cache of 3 rows"):
        baseline(tokens, cache=KVCache(BASELINE, 3, 8))


def test_a_sequence_beyond_the_sliding_window_is_refused() -> None:
    config = replace(BASELINE, sliding_window=8)
    model, cache = tiny_model(config), KVCache(config, 1, 20)
    model(random_tokens(1, 8), cache=cache)
    with pytest.raises(CheckpointError, match=r"sequence of 9 tokens .* sliding_window \(8\)"):
        model(random_tokens(1, 9))
    with pytest.raises(CheckpointError, match="sliding_window"):
        model(random_tokens(1, 1), positions=torch.tensor([[8]]), cache=cache)


def test_casting_the_model_leaves_the_rotary_frequencies_alone() -> None:
    model = tiny_model(BASELINE, max_position_embeddings=2048)
    tokens = random_tokens(1, 1500)
    there_and_back = tiny_model(BASELINE, max_position_embeddings=2048).to(torch.bfloat16).float()
    there_and_back.load_state_dict(model.state_dict())
    assert torch.equal(there_and_back(tokens), model(tokens))
