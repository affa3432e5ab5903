"""The cache is memory: views share it, moved rows carry their sequence, padding follows one rule."""

import pytest
import torch

from ft_eval.model.cache import KVCache, cache_bytes_per_token, padded_length
from tests.model.tiny import BASELINE, random_tokens, tiny_model


def test_rows_are_a_view_that_shares_storage() -> None:
    cache = KVCache(BASELINE, 4, 10)
    view = cache.rows(1, 3)
    view.layer(2).keys.fill_(7.0)
    assert view.num_rows == 2
    assert cache.layer(2).keys.sum((1, 2, 3)).ne(0).tolist() == [False, True, True, False]
    assert view.rows(1, 2).layer(2).keys.data_ptr() == cache.layer(2).keys[2].data_ptr()


def test_rows_outside_the_cache_are_refused() -> None:
    cache = KVCache(BASELINE, 4, 10)
    for start, stop in [(-1, 2), (2, 2), (3, 5)]:
        with pytest.raises(ValueError, match="not within the cache's 4 rows"):
            cache.rows(start, stop)


@torch.inference_mode()
def test_a_moved_row_goes_on_as_before() -> None:
    model, tokens = tiny_model(BASELINE), random_tokens(3, 9)
    cache = KVCache(BASELINE, 3, 12)
    model(tokens[:, :8], cache=cache)
    positions = torch.full((1, 1), 8)
    expected = model(tokens[2:, 8:], positions=positions, cache=cache.rows(2, 3))
    cache.move_row(2, 0, 8)
    assert torch.equal(model(tokens[2:, 8:], positions=positions, cache=cache.rows(0, 1)), expected)


def test_moving_a_row_leaves_later_positions_and_other_rows() -> None:
    cache = KVCache(BASELINE, 3, 10)
    for row in range(3):
        cache.layer(0).keys[row] = row
    cache.move_row(2, 0, 4)
    cache.move_row(1, 1, 4)
    assert cache.layer(0).keys[:, 0, :6, 0].tolist() == [[2, 2, 2, 2, 0, 0], [1] * 6, [2] * 6]


def test_padded_length_is_the_smallest_allowed_length_that_fits() -> None:
    rests = (0, 64, 128, 192, 256)
    allowed = [512 * chunks + rest for chunks in range(4) for rest in rests]
    for length in range(1, 1500):
        assert padded_length(length) == min(size for size in allowed if size >= length)


def test_bytes_are_what_the_tensors_take() -> None:
    cache = KVCache(BASELINE, 3, 512, torch.bfloat16)
    taken = sum(t.numel() * t.element_size() for i in range(BASELINE.num_layers) for t in cache.layer(i))
    assert cache.num_bytes == taken == 3 * 512 * cache_bytes_per_token(BASELINE, torch.bfloat16)
    assert cache.rows(0, 1).num_bytes * 3 == taken
