"""Prompts computed pass by pass are those computed whole, and sequences under decoding go on between the passes."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ft_eval.engine import Engine, GenerationRequest, SamplingParams, padding
from ft_eval.engine.padding import PASS_TOKENS, WIDTH_MULTIPLE, spans
from ft_eval.engine.prefill import Ground, LowerRows, Seat, upper_rows
from ft_eval.engine.prefix_store import PrefixStore
from ft_eval.engine.prefixes import Path as Prefix
from ft_eval.model.noise import NoiseKey
from ft_eval.records import LatentPolicy
from tests.engine.test_sharing import complete, generation, make_engine
from tests.fakes import tiny_model

SMALL = 32


@pytest.fixture
def small_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "PASS_TOKENS", SMALL)


def drain(steps):
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@given(st.integers(1, 4000))
def test_the_pieces_cover_all_tokens_and_none_is_wide_or_thin(num_tokens: int) -> None:
    pieces = list(spans(num_tokens))
    assert [t for piece in pieces for t in range(piece.start, piece.stop)] == list(range(num_tokens))
    widths = [piece.stop - piece.start for piece in pieces]
    assert max(widths) < PASS_TOKENS + WIDTH_MULTIPLE
    assert min(widths) >= min(num_tokens, WIDTH_MULTIPLE)
    assert all(piece.start % PASS_TOKENS == 0 for piece in pieces), "where a token is cut hangs on its position"


@pytest.mark.parametrize("shares_upper", [True, False])
@pytest.mark.usefixtures("small_passes")
def test_keys_values_and_states_are_those_of_one_pass(shares_upper: bool) -> None:
    """Behind a prefix of 64 tokens, prompts of one to five passes, each with a Z of its own."""
    torch.manual_seed(3)
    model = tiny_model(num_bits=5, max_length=300)
    store = PrefixStore(model, 10**9)
    prompts = [(*range(64), *(7 * t % 250 for t in range(own))) for own in (9, 32, 60, 150)]
    codes = torch.randint(0, 32, (len(prompts), 300))
    codes[:, :64] = codes[0, :64] if shares_upper else codes[:, :64]
    seats = [Seat(prompt, row) for prompt, row in zip(prompts, codes, strict=True)]
    with torch.inference_mode():
        upper = store.upper(Prefix(prompts[0][:64]), codes[0, :64]) if shares_upper else None
        ground = Ground(model=model, start=64, limit=300, lower=store.lower(Prefix(prompts[0][:64])), upper=upper)
        rows = drain(LowerRows(ground, prompts).take(prompts))
        cache, hidden = drain(upper_rows(ground, rows, seats))
        for number, prompt in enumerate(prompts):
            whole = model.new_cache(1, 300)
            states = model(torch.tensor([prompt]), codes=codes[number : number + 1, : len(prompt)], cache=whole)
            assert torch.allclose(hidden[number], states[0, -1], atol=1e-5)
            own = slice(len(prompt) - ground.upper_start)
            for index in range(model.config.middle, model.config.num_layers):
                expected = whole.layer(index).keys[0, :, ground.upper_start : len(prompt)]
                assert torch.allclose(cache.layer(index).keys[number, :, own], expected, atol=1e-5)
            for index, layer in enumerate(rows[number].layers):
                assert torch.allclose(layer.values, whole.layer(index).values[0, :, 64 : len(prompt)], atol=1e-5)


@pytest.mark.parametrize("policy", [None, LatentPolicy(num_draws=3), LatentPolicy(num_draws=3, shares_prefix=True)])
@pytest.mark.usefixtures("small_passes")
def test_completions_in_passes_are_those_of_every_request_computed_whole(
    tmp_path: Path, policy: LatentPolicy | None
) -> None:
    requests = generation(4)
    plain = complete(make_engine(tmp_path / "off", policy, sharing=False), requests)
    whole = [c.token_ids for c in complete(make_engine(tmp_path / "on", policy, sharing=True), requests)]
    assert whole == [one.token_ids for one in plain]
    for batch_size in (1, 8, 32):  # the load differs, and with it what goes on between the passes
        engine = make_engine(tmp_path / str(batch_size), policy, sharing=True, batch_size=batch_size)
        assert [c.token_ids for c in complete(engine, requests)] == whole
        rest = random.Random(batch_size).sample(range(len(requests)), 7)
        assert [c.token_ids for c in complete(engine, requests, rest)] == [whole[index] for index in sorted(rest)]


def long_prompts(num_requests: int) -> list[GenerationRequest]:
    return [
        GenerationRequest(
            prompt=tuple((index + 3 * t) % 250 for t in range(200)),
            params=SamplingParams(max_tokens=4 + 3 * index),
            noise=NoiseKey(seed=1, item=f"t/{index}"),
        )
        for index in range(num_requests)
    ]


@pytest.mark.usefixtures("small_passes")
def test_rows_under_way_get_a_token_between_two_passes_of_another_prompt(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, LatentPolicy(), sharing=True, batch_size=4)
    events = _record(engine)
    found = complete(engine, long_prompts(6))
    assert len(found) == 6
    first_step = events.index("step")
    assert "step" not in events[: events.index("pass")]
    later = events[first_step:]
    begun = later.index("pass")
    assert later[begun : begun + 4] == ["pass", "step", "pass", "step"], "others go on between the passes of one"


def _record(engine: Engine) -> list[str]:
    """What the lower blocks are asked for, in order: a pass of many tokens, or a step of one per row."""
    events: list[str] = []
    model: Any = engine.model
    lower, forward = model.lower, model._lower

    def noted(tokens: torch.Tensor, **rest):
        events.append("pass")
        return lower(tokens, **rest)

    def stepped(tokens: torch.Tensor, *rest):
        if tokens.shape[1] == 1:
            events.append("step")
        return forward(tokens, *rest)

    model.lower, model._lower = noted, stepped
    return events
