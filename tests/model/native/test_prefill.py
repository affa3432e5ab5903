"""A block through the kernels on many tokens is the model's own, to rounding, and a query's bits are its own."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch

from ft_eval.model.cache import LayerCache, Prefix
from ft_eval.model.native.prefill import install
from tests.model.linears import relative_error
from tests.model.native.kernels import LIBRARY, needs_kernels
from tests.model.native.test_blocks import CONFIGS, codes_of, pair
from tests.model.tiny import random_tokens

pytestmark = needs_kernels
each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
ROWS, TOKENS, CAPACITY = 3, 67, 200


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


def both(config):
    """A model of PyTorch's operators, and one whose blocks are the kernels'."""
    plain, native, blocks = pair(config)
    install(blocks)
    return plain, native


def sample(config, num_rows=ROWS, num_tokens=TOKENS):
    tokens = random_tokens(num_rows, num_tokens)
    return tokens, codes_of(config, tokens)


def assert_same_caches(model, ours, theirs):
    for index in range(model.config.num_layers):
        for mine, other in zip(ours.layer(index), theirs.layer(index), strict=True):
            assert relative_error(mine, other) < 1e-5


def counted(monkeypatch):
    """How often the kernels answered."""
    from ft_eval.model.native.prefill import NativeBlock

    calls, run = [], NativeBlock._run

    def spy(self, *given):
        calls.append(self)
        return run(self, *given)

    monkeypatch.setattr(NativeBlock, "_run", spy)
    return calls


@each_config
@pytest.mark.parametrize("num_tokens", [1, 16, 67, 300])
def test_a_prefill_equals_the_models(config, num_tokens, monkeypatch):
    plain, native = both(config)
    calls = counted(monkeypatch)
    tokens, codes = sample(config, num_tokens=num_tokens)
    assert relative_error(native(tokens, codes=codes), plain(tokens, codes=codes)) < 1e-5
    assert calls == [block.stand_in for block in native.model.layers]


@each_config
def test_a_cache_is_filled_as_the_models_and_extended_from(config):
    plain, native = both(config)
    tokens, codes = sample(config)
    caches = [model.new_cache(ROWS, CAPACITY) for model in (native, plain)]
    for model, cache in zip((native, plain), caches, strict=True):
        model(tokens, codes=codes, cache=cache)
    assert_same_caches(plain, *caches)
    more, more_codes = random_tokens(ROWS, 20, seed=7), codes_of(config, random_tokens(ROWS, 20))
    positions = torch.tensor([[67], [30], [150]]) + torch.arange(20)  # rows go on where they like, over stale keys too
    found = [
        model(more, codes=more_codes, positions=positions, cache=cache)
        for model, cache in zip((native, plain), caches, strict=True)
    ]
    assert relative_error(*found) < 1e-5
    assert_same_caches(plain, *caches)


@each_config
@pytest.mark.parametrize("num_prefix", [1, 64, 66, 130])
@pytest.mark.parametrize("is_shared", [True, False], ids=["shared", "a row's own"])
def test_behind_a_prefix_it_equals_the_models(config, num_prefix, is_shared):
    plain, native = both(config)
    rows = 1 if is_shared else ROWS
    before = plain.new_cache(rows, num_prefix)
    head = random_tokens(rows, num_prefix, seed=4)
    plain(head, codes=codes_of(config, head), cache=before)
    prefix = before.prefix(range(config.num_layers), num_prefix)
    tokens, codes = sample(config)
    caches = [model.new_cache(ROWS, CAPACITY, starts=(num_prefix, num_prefix)) for model in (native, plain)]
    found = [
        model(tokens, codes=codes, cache=cache, prefixes=(prefix, prefix))
        for model, cache in zip((native, plain), caches, strict=True)
    ]
    assert relative_error(*found) < 1e-5
    assert_same_caches(plain, *caches)


@each_config
def test_branches_of_a_context_see_what_they_are_said_to_see(config):
    """Fifty tokens, then two continuations that do not see each other."""
    plain, native = both(config)
    tokens = random_tokens(2, 70)
    visible = torch.ones(70, 70, dtype=torch.bool).tril()
    visible[60:, 50:60] = False
    positions = torch.cat([torch.arange(60), torch.arange(50, 60)]).expand(2, -1)
    given = {"positions": positions, "visible": visible.expand(2, -1, -1)}
    x = plain.lower(tokens, **given)
    assert relative_error(native.lower(tokens, **given), x) < 1e-5
    residual = None if config.latent is None else plain.post_sample(codes_of(config, tokens))
    expected = plain.upper(x, residual=residual, **given)
    assert relative_error(native.upper(x, residual=residual, **given), expected) < 1e-5


def hidden_of(native, tokens, codes, threads=1):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return native(tokens, codes=codes)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["latent", "one key-value head", "norms of queries and keys"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_rows_bits_hang_on_no_other_row_nor_on_what_follows(name, threads):
    config = CONFIGS[name]
    _, native = both(config)
    tokens, codes = sample(config, num_rows=5, num_tokens=100)
    whole = hidden_of(native, tokens, codes)
    assert torch.equal(hidden_of(native, tokens, codes, threads), whole)
    for row in range(5):
        alone = hidden_of(
            native, tokens[row : row + 1, :41], None if codes is None else codes[row : row + 1, :41], threads
        )
        assert torch.equal(alone[0], whole[row, :41])


@each_config
@pytest.mark.parametrize("num_first", [1, 40, 64, 97])
def test_cut_in_two_or_behind_a_prefix_a_sequence_has_the_bits_of_the_whole(config, num_first):
    _, native = both(config)
    tokens, codes = sample(config, num_tokens=100)
    whole = native(tokens, codes=codes)
    cache = native.new_cache(ROWS, 100)
    parts = [
        (tokens[:, span], None if codes is None else codes[:, span])
        for span in (slice(num_first), slice(num_first, 100))
    ]
    first = native(parts[0][0], codes=parts[0][1], cache=cache)
    prefix = cache.prefix(range(config.num_layers), num_first)
    behind = native(parts[1][0], codes=parts[1][1], prefixes=(prefix, prefix))
    positions = torch.arange(num_first, 100)[None].expand(ROWS, -1)
    extended = native(parts[1][0], codes=parts[1][1], positions=positions, cache=cache)
    assert torch.equal(first, whole[:, :num_first])
    assert torch.equal(behind, whole[:, num_first:])
    assert torch.equal(extended, whole[:, num_first:])


def given_to_upper(config, native, kind):
    """What a call of the upper blocks on (3, 67) tokens hangs on: nothing before it, a cache, a prefix, or branches."""
    if kind == "alone":
        return {}
    cache = native.new_cache(ROWS, CAPACITY)
    if kind == "cache":
        return {"cache": cache}
    before = native.new_cache(1, 70)
    head = random_tokens(1, 70, seed=4)
    native(head, codes=codes_of(config, head), cache=before)
    prefix = before.prefix(range(config.num_layers), 70)
    if kind == "prefix":
        return {"prefix": prefix}
    positions = torch.arange(70, 70 + TOKENS).expand(ROWS, -1)
    if kind == "extension":
        return {"prefix": prefix, "positions": positions, "cache": native.new_cache(ROWS, CAPACITY, starts=(70, 70))}
    visible = torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()
    visible[50:, 40:50] = False
    return {"prefix": prefix, "positions": positions, "visible": visible.expand(ROWS, -1, -1)}


@pytest.mark.parametrize("kind", ["alone", "cache", "prefix", "extension", "branches"])
@pytest.mark.parametrize("name", ["latent", "baseline", "norms of queries and keys"])
@pytest.mark.parametrize("num_wanted", [1, 7, 60])
def test_the_tokens_asked_for_have_the_bits_of_a_whole_pass(kind, name, num_wanted):
    config = CONFIGS[name]
    plain, native = both(config)
    tokens, codes = sample(config)
    wanted = torch.randint(TOKENS, (ROWS, num_wanted))
    wanted[0, 0], wanted[1, 0] = TOKENS - 1, 0
    for model, is_near in ((plain, True), (native, False)):
        x = model.lower(tokens)
        residual = None if codes is None else model.post_sample(codes)
        whole = model.upper(x, residual=residual, **given_to_upper(config, native, kind))
        given = given_to_upper(config, native, kind)
        found = model.upper(x, residual=residual, wanted=wanted, **given)
        expected = whole[torch.arange(ROWS)[:, None], wanted]
        assert torch.equal(found, expected) or (is_near and relative_error(found, expected) < 1e-5)
        if "cache" in given:
            kept = given_to_upper(config, native, kind)["cache"]
            model.upper(x, residual=residual, **(given | {"cache": kept}))
            last = config.num_layers - 1
            assert all(map(torch.equal, given["cache"].layer(last), kept.layer(last)))


def test_a_model_goes_as_soon_as_nobody_holds_it():
    """Its gigabytes can't wait for a search for cycles."""
    _, native = both(CONFIGS["baseline"])
    gone = weakref.ref(native)
    gc.disable()
    try:
        del native
        assert gone() is None
    finally:
        gc.enable()


def test_a_model_of_one_block_answers_where_it_is_asked():
    config = replace(CONFIGS["baseline"], num_layers=1)
    _, native = both(config)
    x, wanted = torch.randn(2, 20, 48), torch.tensor([[19], [3]])
    assert torch.equal(native.upper(x, wanted=wanted)[:, 0], native.upper(x)[[0, 1], [19, 3]])


@pytest.mark.parametrize("first", [-1, 15])
def test_a_place_outside_the_cache_is_refused_and_no_memory_is_written(first):
    config = CONFIGS["baseline"]
    _, native = both(config)
    cache, tokens = native.new_cache(1, 64, starts=(16, 16)), random_tokens(1, 4)
    positions = first + torch.arange(4)[None]
    with pytest.raises(ValueError, match="of a cache of 64 positions"):
        native(tokens, positions=positions, cache=cache, prefixes=(_empty(config), _empty(config)))


def _empty(config):
    """A prefix of 16 positions."""
    layer = LayerCache(*(torch.zeros(1, config.num_kv_heads, 16, config.head_dim) for _ in range(2)))
    return Prefix(dict.fromkeys(range(config.num_layers), layer), 16)


def test_what_is_given_is_left_as_it_was():
    _, native = both(CONFIGS["latent"])
    x = torch.randn(2, 20, 48)
    kept, residual = x.clone(), torch.randn(2, 20, 48)
    native.upper(x, residual=residual)
    assert torch.equal(x, kept)


@pytest.mark.parametrize("name", ["latent", "norms of queries and keys"])
def test_what_is_remembered_alone_has_the_bits_of_a_whole_pass(name):
    config = CONFIGS[name]
    _, native = both(config)
    x = torch.randn(ROWS, 20, 48)
    whole, alone = (native.new_cache(ROWS, 20) for _ in range(2))
    native.upper(x, cache=whole)
    native.remember(x, alone)
    for index in range(config.middle, config.num_layers):
        assert all(map(torch.equal, alone.layer(index), whole.layer(index)))


def test_the_model_itself_computes_what_the_kernels_do_not_take(monkeypatch):
    config = CONFIGS["baseline"]
    plain, native = both(config)
    calls = counted(monkeypatch)
    scattered = LayerCache(*(torch.randn(1, 2, 8, 32)[..., ::2] for _ in range(2)))
    prefix = Prefix(dict.fromkeys(range(config.num_layers), scattered), 8)
    tokens, _ = sample(config)
    expected = plain(tokens, prefixes=(prefix, prefix))
    assert relative_error(native(tokens, prefixes=(prefix, prefix)), expected) < 1e-5
    assert calls == []


def test_a_gradient_is_refused_by_the_packed_layers_not_lost():
    with torch.inference_mode(mode=False):
        _, native = both(CONFIGS["baseline"])
        with pytest.raises(RuntimeError, match="has no gradient"):
            native.upper(torch.randn(1, 4, 48, requires_grad=True))


def test_bfloat16_is_left_to_pytorch():
    if not LIBRARY.has_bf16:
        pytest.skip("no kernels for bfloat16 here")
    _, native, blocks = pair(replace(CONFIGS["baseline"]), torch.bfloat16)
    install(blocks)
    assert all(block.stand_in is None for block in native.model.layers)
