"""Kept prefixes are those that would be computed, within the memory that they may take."""

import torch

from ft_eval.engine.memory import batch_limits, free_bytes, halved, rows_that_fit
from ft_eval.engine.prefix_store import PrefixStore
from ft_eval.engine.requests import BatchLimits
from ft_eval.model.cache import KVCache
from ft_eval.records import EngineOptions
from tests.fakes import tiny_model

ROOMY = 10**9


def prefix(number: int) -> tuple[int, ...]:
    return tuple((number * 7 + t) % 250 for t in range(64))


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
        model(torch.tensor([prefix(1)]), codes=codes(3)[None], cache=cache)
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
