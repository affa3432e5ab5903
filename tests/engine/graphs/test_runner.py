"""Replays give what the model gives, from static inputs, by the smallest recording that fits."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ft_eval.engine.graphs.buckets import key_buckets, row_buckets, smallest
from ft_eval.engine.graphs.recording import Recording, SerialRecorder
from ft_eval.engine.graphs.runner import DecodeGraphs, GraphCompiler, GraphOptions
from ft_eval.model.cache import KVCache
from tests.model.tiny import BASELINE, random_codes, random_tokens, tiny_model

PROMPT, STEPS = 5, 6


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    torch._dynamo.reset()


class Watched(SerialRecorder):
    """Remembers where recordings gave their results."""

    def __init__(self) -> None:
        self.recordings: list[Recording] = []

    def record(self, function: Callable[[], Tensor]) -> Recording:
        self.recordings.append(super().record(function))
        return self.recordings[-1]


def filled(model, num_rows: int, *, max_length: int = 320) -> KVCache:
    cache = model.new_cache(num_rows, max_length)
    codes = random_codes(num_rows, PROMPT) if model.config.latent else None
    model(random_tokens(num_rows, PROMPT), codes=codes, cache=cache)
    return cache


def inputs(num_rows: int, step: int, *, first: int = PROMPT) -> tuple[Tensor, Tensor, Tensor]:
    positions = torch.full((num_rows, 1), first + step)
    return random_tokens(num_rows, 1, seed=step), positions, random_codes(num_rows, 1, seed=step)


@torch.inference_mode()
def test_replays_follow_the_rows_through_their_buckets():
    model, recorder = tiny_model(num_layers=2), Watched()
    ours, theirs = filled(model, 6), filled(model, 6)
    graphs, found = DecodeGraphs(model, ours, recorder=recorder), torch.empty(0)
    for step, num_rows in enumerate((6, 5, 5, 4, 3, 2)):
        tokens, positions, codes = inputs(num_rows, step)
        found = graphs.step(tokens, positions, codes)
        rows = theirs.rows(0, num_rows)
        torch.testing.assert_close(found, model(tokens, codes=codes, positions=positions, cache=rows))
    assert graphs.counters.recordings == 3  # for 6, 4 and 2 rows
    assert graphs.counters.replays == 3
    assert found.data_ptr() == recorder.recordings[2].output.data_ptr()


@torch.inference_mode()
def test_inputs_are_copied_and_never_kept():
    model = tiny_model(BASELINE, num_layers=2)
    graphs, cache = DecodeGraphs(model, filled(model, 2)), filled(model, 2)
    for step in range(3):
        tokens, positions, _ = inputs(2, step)
        expected = model(tokens, positions=positions, cache=cache)
        found = graphs.step(tokens, positions, None)
        torch.testing.assert_close(found, expected)
        tokens.fill_(7)  # the caller's own again
        positions.fill_(0)


@torch.inference_mode()
def test_rows_at_rest_write_where_a_prompt_will_begin():
    model = tiny_model(BASELINE, num_layers=2)
    cache = filled(model, 4)
    before = [part.clone() for part in cache.layer(1)]
    DecodeGraphs(model, cache).step(*inputs(3, 0)[:2], None)
    for part, old in zip(cache.layer(1), before, strict=True):
        changed = (part != old).any(dim=-1).any(dim=1)  # (rows, positions)
        assert changed.nonzero().tolist() == [[0, PROMPT], [1, PROMPT], [2, PROMPT], [3, 0]]


@torch.inference_mode()
def test_longer_rows_take_the_next_bucket_of_keys():
    model = tiny_model(BASELINE, num_layers=2, max_position_embeddings=600)
    ours, theirs = filled(model, 2, max_length=600), filled(model, 2, max_length=600)
    graphs = DecodeGraphs(model, ours)
    for step in (0, 250, 251, 520):
        tokens, positions, _ = inputs(2, step)
        found = graphs.step(tokens, positions, None)
        torch.testing.assert_close(found, model(tokens, positions=positions, cache=theirs))
    assert graphs.counters.recordings == 3  # 256, 512, all

    fixed = GraphCompiler.for_model(model, GraphOptions(fixed_shapes=True))
    graphs = DecodeGraphs(model, ours, compiler=fixed)
    for step, num_rows in ((0, 2), (1, 1), (300, 1)):
        graphs.step(*inputs(num_rows, step)[:2], None)
    assert graphs.counters.recordings == 1


@torch.inference_mode()
def test_fixed_shapes_give_a_row_the_same_bits_beside_any_others():
    model = tiny_model(num_layers=2)
    compiler = GraphCompiler.for_model(model, GraphOptions(fixed_shapes=True, lengths=True))
    tokens, positions, codes = inputs(4, 0)
    alone, together = (DecodeGraphs(model, filled(model, 4), compiler=compiler) for _ in range(2))
    one = alone.step(tokens[:1], positions[:1], codes[:1])
    assert torch.equal(one, together.step(tokens, positions, codes)[:1])


@torch.inference_mode()
def test_a_new_cache_is_recorded_but_not_traced_anew():
    model = tiny_model(num_layers=2)
    compiler = GraphCompiler.for_model(model)
    for _ in range(3):
        ours, theirs = filled(model, 4), filled(model, 4)
        tokens, positions, codes = inputs(4, 0)
        graphs = DecodeGraphs(model, ours, compiler=compiler)
        found = graphs.step(tokens, positions, codes)
        torch.testing.assert_close(found, model(tokens, codes=codes, positions=positions, cache=theirs))
    assert len(compiler.backend.modules) == 1


def test_what_cannot_be_watched_or_does_not_fit_is_refused():
    model = tiny_model(num_layers=2)
    graphs = DecodeGraphs(model, model.new_cache(2, 64))
    tokens, positions, _ = inputs(2, 0)
    with pytest.raises(ValueError, match="a latent model needs codes"):
        graphs.step(tokens, positions, None)
    with pytest.raises(ValueError, match="3 is more than the largest graph's 2"):
        graphs.step(*inputs(3, 0))
    windowed = tiny_model(num_layers=2, sliding_window=32)
    with pytest.raises(ValueError, match="sliding window of 32"):
        DecodeGraphs(windowed, windowed.new_cache(2, 64))


def test_buckets_cover_every_size():
    assert row_buckets(1) == (1,)
    assert row_buckets(12) == (1, 2, 4, 8, 12)
    assert row_buckets(16) == (1, 2, 4, 8, 16)
    assert row_buckets(12, fixed=True) == (12,)
    assert key_buckets(64) == (64,)
    assert key_buckets(1536) == (256, 512, 1024, 1536)
    assert key_buckets(1536, fixed=True) == (1536,)
    assert [smallest((1, 2, 4), need) for need in (1, 2, 3, 4)] == [1, 2, 4, 4]
