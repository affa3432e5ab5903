"""Kept prefixes are those that would be computed, within the memory that they may take."""

import pytest
import torch

from ft_eval.engine.memory import batch_limits, free_bytes, halved, rows_that_fit
from ft_eval.engine.prefix_store import PrefixStore
from ft_eval.engine.prefixes import Path
from ft_eval.engine.requests import BatchLimits
from ft_eval.model.cache import KVCache
from ft_eval.records import EngineOptions
from tests.fakes import tiny_model

ROOMY = 10**9


def prefix(number: int, num_tokens: int = 64, cuts: tuple[int, ...] = ()) -> Path:
    return Path(tuple((number * 7 + t) % 250 for t in range(num_tokens)), cuts)


def codes(number: int) -> torch.Tensor:
    return torch.arange(64) * number % 32


def test_a_prefix_is_computed_once_and_holds_what_a_prefill_writes() -> None:
    model = tiny_model(num_bits=5, max_length=200)
    with torch.inference_mode():
        store = PrefixStore(model, ROOMY)
        kept = store.upper(prefix(1), codes(3))
        assert store.upper(prefix(1), codes(3)) is kept
        lower = store.lower(prefix(1))
        assert store.num_computed_tokens == 64, "a half of the blocks each"
        cache = KVCache(model.config, 1, 64)
        model(torch.tensor([prefix(1).tokens]), codes=codes(3)[None], cache=cache)
    for index in range(model.config.num_layers):
        half = lower.kept if index < model.config.middle else kept
        assert torch.equal(half.layers[index].keys, cache.layer(index).keys[:, :, :64])
        assert torch.equal(half.layers[index].values, cache.layer(index).values[:, :, :64])


def test_other_codes_share_the_lower_half_alone() -> None:
    with torch.inference_mode():
        store = PrefixStore(tiny_model(num_bits=5, max_length=200), ROOMY)
        one, two = store.upper(prefix(1), codes(1)), store.upper(prefix(1), codes(2))
    assert store.num_computed_tokens == 32 + 2 * 32
    assert not torch.equal(one.layers[3].keys, two.layers[3].keys)


@pytest.mark.parametrize("num_bits", [None, 5])
def test_a_prefix_behind_shorter_ones_is_the_whole_one_and_costs_its_own_tokens_alone(num_bits: int | None) -> None:
    model, many = tiny_model(num_bits=num_bits, max_length=300), codes(3).repeat(4)
    z = None if num_bits is None else many
    with torch.inference_mode():
        store, whole = PrefixStore(model, ROOMY), PrefixStore(model, ROOMY)
        nested = prefix(1, 256, (64, 192))
        upper, lower = store.upper(nested, z), store.lower(nested)
        assert store.num_computed_tokens == 256
        store.upper(prefix(1, 192, (64,)), None if z is None else z[:192])
        assert store.num_computed_tokens == 256, "those that it stands behind are kept, too"
        plain_upper, plain_lower = whole.upper(prefix(1, 256), z), whole.lower(prefix(1, 256))
        assert torch.allclose(lower.x, plain_lower.x, atol=1e-5)
    for index in range(model.config.num_layers):
        mine, plain = (lower.kept, plain_lower.kept) if index < model.config.middle else (upper, plain_upper)
        assert torch.allclose(mine.layers[index].keys, plain.layers[index].keys, atol=1e-5)
        assert torch.allclose(mine.layers[index].values, plain.layers[index].values, atol=1e-5)


def test_a_prefix_has_the_same_bits_whatever_was_kept_before() -> None:
    model, nested = tiny_model(max_length=300), prefix(1, 192, (64,))
    with torch.inference_mode():
        fresh, used = PrefixStore(model, ROOMY), PrefixStore(model, ROOMY)
        used.lower(prefix(1, 128))
        used.lower(prefix(1, 192))
        assert torch.equal(used.lower(nested).x, fresh.lower(nested).x)
        cramped = PrefixStore(model, 1)
        assert torch.equal(cramped.lower(nested).x, fresh.lower(nested).x)


def test_the_least_recently_used_go_when_there_is_no_room() -> None:
    with torch.inference_mode():
        model = tiny_model(max_length=200)
        size = PrefixStore(model, ROOMY).lower(prefix(0)).num_bytes
        store = PrefixStore(model, 3 * size)
        for number in (1, 2, 3):
            store.lower(prefix(number))
        store.lower(prefix(1))  # used again: 2 is the oldest now
        store.lower(prefix(4))
        before = store.num_computed_tokens
        for number in (3, 1, 4):
            store.lower(prefix(number))
        assert store.num_computed_tokens == before
        store.lower(prefix(2))
        assert store.num_computed_tokens > before


def test_a_prefix_larger_than_all_room_is_still_served() -> None:
    with torch.inference_mode():
        store = PrefixStore(tiny_model(max_length=200), 1)
        assert store.lower(prefix(1)).kept.num_tokens == 64


def test_the_batch_follows_the_free_memory_and_what_was_asked_for(monkeypatch) -> None:
    model = tiny_model()
    assert free_bytes("cpu") > 0
    assert batch_limits(model, EngineOptions(batch_size=5)).num_rows == 5
    roomy = batch_limits(model, EngineOptions())
    monkeypatch.setattr("ft_eval.engine.memory.free_bytes", lambda _: 200_000)
    cramped = batch_limits(model, EngineOptions())
    assert 1 <= rows_that_fit(cramped, 64) < rows_that_fit(roomy, 64)
    assert cramped.num_tokens < roomy.num_tokens
    monkeypatch.setattr("ft_eval.engine.memory.free_bytes", lambda _: 0)
    assert rows_that_fit(batch_limits(model, EngineOptions()), 64) == 1
    assert rows_that_fit(batch_limits(model, EngineOptions(batch_size=5)), 64) == 5


def test_short_sequences_are_decoded_by_more_rows_than_long_ones() -> None:
    limits = BatchLimits(num_rows=32, num_tokens=100, num_cached_tokens=1000)
    assert [rows_that_fit(limits, length) for length in (1, 100, 400, 5000)] == [32, 10, 2, 1]


def test_half_of_one_row_is_no_batch() -> None:
    assert halved(BatchLimits(num_rows=9, num_tokens=100)) == BatchLimits(num_rows=4, num_tokens=50)
    assert halved(BatchLimits(num_rows=9, num_tokens=100, num_cached_tokens=7)) == BatchLimits(
        num_rows=4, num_tokens=50, num_cached_tokens=3
    )
    assert halved(BatchLimits(num_rows=1, num_tokens=100)) is None
