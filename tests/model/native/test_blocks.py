"""A decoding step through the kernels is the model's own extension by one token, to rounding."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from ft_eval.model.cache import LayerCache, Prefix
from ft_eval.model.native.blocks import NativeBlocks
from ft_eval.model.packing import Numerics, PackingOptions, pack_linears
from tests.model.linears import calm_model, relative_error
from tests.model.native.kernels import LIBRARY, needs_bf16, needs_kernels
from tests.model.tiny import BASELINE, LATENT, random_codes, random_tokens

pytestmark = needs_kernels

WIDE = replace(BASELINE, hidden_size=48, head_dim=16, intermediate_size=90, tie_embeddings=True)
CONFIGS = {
    "baseline": WIDE,
    "latent": replace(LATENT, hidden_size=48, head_dim=16),
    "one key-value head": replace(WIDE, num_kv_heads=1, num_heads=7),
    "as many key-value heads": replace(WIDE, num_kv_heads=4),
    "norms of queries and keys": replace(WIDE, qk_norm=True, head_dim=80),
    "biases": replace(WIDE, qkv_bias=True, output_bias=True, mlp_bias=True, head_dim=32),
}
LENGTHS = (70, 3, 65, 64, 17)
"""Of the rows, when the step is taken."""
CAPACITY = 100


def pair(config, dtype=torch.float32):
    """A model of PyTorch's operators and one of the kernels, of the same weights."""
    plain = calm_model(config).to(dtype)
    native = deepcopy(plain)
    pack_linears(native, PackingOptions(library=LIBRARY))
    return plain, native, NativeBlocks.of(native, LIBRARY)


def codes_of(config, tokens):
    return random_codes(*tokens.shape) if config.latent else None


def filled_caches(plain, models, tokens, codes, starts, prefixes):
    """A cache per model with the same keys and values: those that the plain model writes behind the prefixes."""
    cache = plain.new_cache(len(tokens), CAPACITY, starts=starts)
    positions = torch.arange(max(starts), tokens.shape[1])[None].expand(len(tokens), -1)
    with torch.inference_mode():
        plain(
            tokens[:, max(starts) :],
            codes=None if codes is None else codes[:, max(starts) :],
            positions=positions,
            cache=cache,
            prefixes=prefixes,
        )
    caches = [deepcopy(cache) for _ in models]
    for copy in caches:
        copy._make_layers()
    return caches


def prefix_of(plain, blocks, tokens, codes):
    cache = plain.new_cache(1, tokens.shape[1])
    with torch.inference_mode():
        plain(tokens, codes=codes, cache=cache)
    return cache.prefix(blocks, tokens.shape[1])


def step_inputs(config):
    positions = torch.tensor(LENGTHS)[:, None]
    tokens = random_tokens(len(LENGTHS), 1, seed=5)
    return tokens, positions, codes_of(config, tokens)


def both_steps(config, dtype=torch.float32, *, num_prefix=0, shares_upper=True):
    plain, native, blocks = pair(config, dtype)
    tokens = random_tokens(len(LENGTHS), CAPACITY - 1)
    codes = codes_of(config, tokens)
    prefixes = (None, None)
    if num_prefix:
        tokens[:, :num_prefix] = tokens[:1, :num_prefix]
        if codes is not None:
            codes[:, :num_prefix] = codes[:1, :num_prefix]
        head = (tokens[:1, :num_prefix], None if codes is None else codes[:1, :num_prefix])
        halves = (range(config.middle), range(config.middle, config.num_layers))
        prefixes = tuple(prefix_of(plain, half, *head) for half in halves)
    starts = (num_prefix, num_prefix)
    ours, theirs = filled_caches(plain, (native, plain), tokens, codes, starts, prefixes)
    step, positions, step_codes = step_inputs(config)
    positions = positions.clamp_min(num_prefix)
    with torch.inference_mode():
        expected = plain(step, codes=step_codes, positions=positions, cache=theirs, prefixes=prefixes)
        got = blocks.open(native, ours, prefixes).step(step, positions, step_codes)
    return got, expected, ours, theirs


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("num_prefix", [0, 1, 64, 66])
def test_a_step_equals_the_models_and_leaves_the_same_cache(config, num_prefix):
    got, expected, ours, theirs = both_steps(config, num_prefix=num_prefix)
    assert relative_error(got, expected) < 1e-5
    for index in range(config.num_layers):
        for mine, other in zip(ours.layer(index), theirs.layer(index), strict=True):
            assert relative_error(mine, other) < 1e-5


@needs_bf16
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("num_prefix", [0, 64])
def test_a_bf16_step_stays_near_the_models(config, num_prefix):
    got, expected, _, _ = both_steps(config, torch.bfloat16, num_prefix=num_prefix)
    assert relative_error(got, expected) < 5e-2


def test_the_halves_may_begin_behind_unlike_prefixes():
    """A prefix below Z alone: the upper blocks have their whole sequence in the cache."""
    config = CONFIGS["latent"]
    plain, native, blocks = pair(config)
    tokens, codes = random_tokens(1, 90), random_codes(1, 90)
    whole, split = plain.new_cache(1, CAPACITY), plain.new_cache(1, CAPACITY, starts=(64, 0))
    position = torch.tensor([[90]])
    with torch.inference_mode():
        plain(tokens, codes=codes, cache=whole)
        for index in range(config.num_layers):
            start = split.start(index)
            for mine, other in zip(split.layer(index), whole.layer(index), strict=True):
                mine[:, :, : 90 - start] = other[:, :, start:90]
        prefix = whole.prefix(range(config.middle), 64)
        got = blocks.open(native, split, (prefix, None)).step(tokens[:, :1], position, codes[:, :1])
        expected = plain(tokens[:, :1], codes=codes[:, :1], positions=position, cache=whole)
    assert relative_error(got, expected) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_bf16)])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_rows_bits_hang_on_no_other_row(dtype, num_threads):
    config = CONFIGS["latent"]
    _, native, blocks = pair(config, dtype)
    cache = native.new_cache(len(LENGTHS), CAPACITY)
    with torch.inference_mode():
        native(random_tokens(5, 90), codes=random_codes(5, 90), cache=cache)
        prefix = cache.rows(0, 1).prefix(range(config.num_layers), 1)
        step, positions, codes = step_inputs(config)
        before = torch.get_num_threads()
        torch.set_num_threads(num_threads)
        try:
            steps = blocks.open(native, cache, (prefix, prefix))
            whole = steps.step(step, positions, codes).clone()
            for count in range(1, len(LENGTHS)):
                alone = steps.step(step[:count], positions[:count], codes[:count])
                assert torch.equal(alone, whole[:count])
        finally:
            torch.set_num_threads(before)
        steps = blocks.open(native, cache, (prefix, prefix))
        assert torch.equal(steps.step(step, positions, codes), whole)


def test_what_lies_outside_the_cache_is_refused():
    _, native, blocks = pair(WIDE)
    steps = blocks.open(native, native.new_cache(2, 20, starts=(4, 4)), (None, None))
    for num_rows, position in ((3, 5), (1, 3), (1, 20), (2, -1)):
        with pytest.raises(ValueError, match="the cache has 4 to 19"):
            steps.step(torch.zeros(num_rows, 1, dtype=torch.int64), torch.full((num_rows, 1), position), None)


def test_codes_are_asked_of_a_latent_model_and_refused_by_a_baseline():
    one = torch.zeros(1, 1, dtype=torch.int64)
    for config, codes in ((WIDE, one), (CONFIGS["latent"], None)):
        _, native, blocks = pair(config)
        with pytest.raises(ValueError, match="needs codes"):
            blocks.open(native, native.new_cache(1, 8), (None, None)).step(one, one, codes)


def test_a_row_without_a_code_has_no_residual():
    plain, native, blocks = pair(CONFIGS["latent"])
    caches = [model.new_cache(2, 8) for model in (plain, native)]
    tokens, positions, codes = random_tokens(2, 1), torch.tensor([[0], [0]]), torch.tensor([[-1], [3]])
    expected = plain(tokens, codes=codes, positions=positions, cache=caches[0])
    got = blocks.open(native, caches[1], (None, None)).step(tokens, positions, codes)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("code", [-2, 2**16])
def test_a_code_that_is_no_row_of_the_table_is_refused_and_no_memory_is_read(code):
    _, native, blocks = pair(CONFIGS["latent"])
    steps, one = blocks.open(native, native.new_cache(1, 8), (None, None)), torch.ones(1, 1, dtype=torch.int64)
    with pytest.raises(ValueError, match="expected -1 to"):
        steps.step(one, one, one * code)
    with pytest.raises(ValueError, match="2 codes for 1 rows"):
        steps.step(one, one, one.expand(2, 1))


def test_no_steps_for_what_the_kernels_can_not_do():
    narrow = calm_model(BASELINE)
    pack_linears(narrow, PackingOptions(library=LIBRARY))
    assert NativeBlocks.of(narrow, LIBRARY) is None, "heads of 8"
    assert NativeBlocks.of(calm_model(WIDE), LIBRARY) is None, "not packed"
    _, native, blocks = pair(WIDE)
    assert blocks.open(calm_model(WIDE), native.new_cache(1, 8), (None, None)) is None, "another model"
    own = LayerCache(torch.zeros(2, 2, 4, 16), torch.zeros(2, 2, 4, 16))
    apart = Prefix(dict.fromkeys(range(4), own), 4)
    assert blocks.open(native, native.new_cache(2, 8, starts=(4, 4)), (apart, apart)) is None, "a prefix per row"
    _, sliding, blocks = pair(replace(WIDE, sliding_window=10))
    assert blocks.open(sliding, sliding.new_cache(1, 11), (None, None)) is None, "a sliding window"
    assert blocks.open(sliding, sliding.new_cache(1, 10), (None, None)) is not None


@needs_bf16
def test_int8_blocks_are_left_to_pytorch():
    model = calm_model(replace(WIDE, hidden_size=64, intermediate_size=96)).to(torch.bfloat16)
    pack_linears(model, PackingOptions(numerics=Numerics.INT8, library=LIBRARY))
    assert NativeBlocks.of(model, LIBRARY) is None


def test_a_plain_readout_wants_four_rows():
    model = calm_model(WIDE)
    pack_linears(model, PackingOptions(library=LIBRARY, max_readout_copy_bytes=0))
    blocks = NativeBlocks.of(model, LIBRARY)
    assert blocks is not None
    assert blocks.row_multiple == 4
    assert pair(WIDE)[2].row_multiple == 1
