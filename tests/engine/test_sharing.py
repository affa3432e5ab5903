"""What is shared between requests changes no answer: prefixes, contexts, and the blocks that see no Z."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ft_eval.engine import Completion, Engine, GenerationRequest, Loglikelihood, SamplingParams, ScoringRequest
from ft_eval.engine.prefixes import group_by_prefix
from ft_eval.model.noise import NoiseKey
from ft_eval.model.tokenizer import Tokenizer
from ft_eval.records import EngineOptions, LatentPolicy, LatentSource
from tests.fakes import tiny_model, write_checkpoint

LENGTH = 400
HEAD = b"The head that all of the questions begin with, which is long enough for two whole chunks of 64 tokens: yes. "
POLICIES = [
    None,
    *(LatentPolicy(source=source, num_draws=3) for source in LatentSource),
    LatentPolicy(num_draws=3, shares_prefix=True),
]
NAMES = ["baseline", *map(str, LatentSource), "prior, shared prefix"]


def make_engine(folder: Path, policy: LatentPolicy | None, *, sharing: bool, batch_size: int | None = None) -> Engine:
    bits = None if policy is None else 5
    model = tiny_model(num_bits=bits, max_length=LENGTH)
    write_checkpoint(folder, num_bits=bits, max_length=LENGTH)
    options = EngineOptions(batch_size=batch_size, prefix_cache=sharing)
    return Engine(model, Tokenizer.load(folder, model.config), latents=policy, options=options)


def texts(seed: int) -> list[bytes]:
    """Prompts behind a shared head, one without it, and one that is the head alone."""
    rng = random.Random(seed)
    tails = [bytes(rng.choices(range(97, 123), k=rng.randint(1, 40))) for _ in range(6)]
    return [*(HEAD + tail for tail in tails), tails[0], HEAD]


def scoring(seed: int) -> list[ScoringRequest]:
    """The choices of each prompt, under two draws: two of one token, and for odd seeds two longer ones."""
    prompts = texts(seed)
    choices = [b"a", b"b", b" a longer choice", b" another"] if seed % 2 else [b"A", b"B"]
    return [
        ScoringRequest(
            context=tuple(prompt),
            continuation=tuple(choice),
            noise=NoiseKey(seed=seed, item=f"t/{index}", draw=draw),
            donor=tuple(prompts[index - 1]),
        )
        for draw in (0, 1)
        for index, prompt in enumerate(prompts)
        for choice in choices
    ]


def generation(seed: int, *, temperature: float = 0.0) -> list[GenerationRequest]:
    prompts = texts(seed)
    return [
        GenerationRequest(
            prompt=tuple(prompt),
            params=SamplingParams(max_tokens=5 + 4 * index, temperature=temperature),
            noise=NoiseKey(seed=seed, item=f"t/{index}", draw=draw),
            donor=tuple(prompts[index - 1]),
        )
        for index, prompt in enumerate(prompts)
        for draw in (0, 1, 2)
    ]


def score(engine: Engine, requests: Sequence[ScoringRequest], pending: list[int] | None = None) -> list[Loglikelihood]:
    found: dict[int, Loglikelihood] = {}
    engine.score(requests, found.__setitem__, pending=pending)
    assert sorted(found) == sorted(pending if pending is not None else range(len(requests)))
    return [found[index] for index in sorted(found)]


def complete(
    engine: Engine, requests: Sequence[GenerationRequest], pending: list[int] | None = None
) -> list[Completion]:
    found: dict[int, Completion] = {}
    engine.generate(requests, found.__setitem__, pending=pending)
    return [found[index] for index in sorted(found)]


def nats(scores: Sequence[Loglikelihood]) -> list[float]:
    return [score.total_nats for score in scores]


@pytest.mark.parametrize("policy", POLICIES, ids=NAMES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_scores_are_those_of_every_request_computed_whole(
    tmp_path: Path, policy: LatentPolicy | None, seed: int
) -> None:
    requests = scoring(seed)
    plain = score(make_engine(tmp_path / "off", policy, sharing=False), requests)
    shared = score(make_engine(tmp_path / "on", policy, sharing=True), requests)
    assert nats(shared) == pytest.approx(nats(plain), abs=2e-4)
    assert [one.is_greedy for one in shared] == [one.is_greedy for one in plain]


@pytest.mark.parametrize("policy", POLICIES, ids=NAMES)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_completions_are_those_of_every_request_computed_whole(
    tmp_path: Path, policy: LatentPolicy | None, temperature: float
) -> None:
    requests = generation(4, temperature=temperature)
    plain = complete(make_engine(tmp_path / "off", policy, sharing=False), requests)
    shared = complete(make_engine(tmp_path / "on", policy, sharing=True), requests)
    assert [one.token_ids for one in shared] == [one.token_ids for one in plain]


@pytest.mark.parametrize("policy", POLICIES, ids=NAMES)
@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_scores_are_the_same_to_the_bit_for_any_batch_order_and_rest(
    tmp_path: Path, policy: LatentPolicy | None, batch_size: int
) -> None:
    requests = scoring(5)
    whole = nats(score(make_engine(tmp_path / "a", policy, sharing=True), requests))
    other = make_engine(tmp_path / "b", policy, sharing=True, batch_size=batch_size)
    assert nats(score(other, requests)) == whole
    rest = random.Random(batch_size).sample(range(len(requests)), 11)
    assert nats(score(other, requests, rest)) == [whole[index] for index in sorted(rest)]
    order = random.Random(batch_size).sample(range(len(requests)), len(requests))
    shuffled = score(other, [requests[index] for index in order])
    assert [s for _, s in sorted(zip(order, nats(shuffled), strict=True))] == whole


@pytest.mark.parametrize("policy", POLICIES, ids=NAMES)
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_completions_are_the_same_for_any_batch_and_rest(
    tmp_path: Path, policy: LatentPolicy | None, batch_size: int
) -> None:
    requests = generation(6)
    whole = [c.token_ids for c in complete(make_engine(tmp_path / "a", policy, sharing=True), requests)]
    other = make_engine(tmp_path / "b", policy, sharing=True, batch_size=batch_size)
    assert [c.token_ids for c in complete(other, requests)] == whole
    rest = random.Random(batch_size).sample(range(len(requests)), 7)
    assert [c.token_ids for c in complete(other, requests, rest)] == [whole[index] for index in sorted(rest)]


def test_prompts_that_begin_alike_have_the_same_codes_there_only_when_asked(tmp_path: Path) -> None:
    one, two = (replace(request.latent_context, prompt=request.context) for request in (scoring(1)[0], scoring(1)[4]))
    for shares in (False, True):
        engine = make_engine(tmp_path / str(shares), LatentPolicy(shares_prefix=shares), sharing=True)
        first, second = (engine._sampler.codes(context, 110) for context in (one, two))
        assert first is not None
        assert second is not None
        assert torch.equal(first[:64], second[:64]) is shares
        assert not torch.equal(first[64:], second[64:])


def test_draws_of_one_prompt_cost_little_more_than_the_upper_half_each(tmp_path: Path) -> None:
    """K draws cost at most 0.55 K + 0.5 prefills: counted in tokens that each half of the blocks computes."""
    num_draws, prompt = 8, tuple(texts(1)[0])
    engine = make_engine(tmp_path, LatentPolicy(num_draws=num_draws), sharing=True)
    counted = {"lower": 0, "upper": 0}
    _count(engine, counted)
    requests = [
        GenerationRequest(
            prompt=prompt, params=SamplingParams(max_tokens=1), noise=NoiseKey(seed=1, item="t", draw=draw)
        )
        for draw in range(num_draws)
    ]
    complete(engine, requests)
    assert counted["lower"] / 2 + counted["upper"] / 2 <= (0.55 * num_draws + 0.5) * len(prompt)


def _count(engine: Engine, counted: dict[str, int]) -> None:
    """Count the tokens that go through each half."""
    for half in counted:
        method = getattr(engine.model, half)

        def counting(tokens: torch.Tensor, *, _method=method, _half=half, **rest):
            counted[_half] += tokens.shape[0] * tokens.shape[1]
            return _method(tokens, **rest)

        setattr(engine.model, half, counting)


def test_where_memory_runs_out_the_batch_is_halved_and_nothing_is_asked_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = LatentPolicy()
    expected = nats(score(make_engine(tmp_path / "a", policy, sharing=True), scoring(2)))
    engine = make_engine(tmp_path / "b", policy, sharing=True, batch_size=16)
    lower = engine.model.lower

    def cramped(tokens: torch.Tensor, **rest):
        if tokens.shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return lower(tokens, **rest)

    monkeypatch.setattr(engine.model, "lower", cramped)
    asked: list[int] = []
    found: dict[int, Loglikelihood] = {}

    def keep(index: int, score: Loglikelihood) -> None:
        asked.append(index)
        found[index] = score

    engine.score(scoring(2), keep)
    assert sorted(asked) == list(range(len(expected)))
    assert nats([found[index] for index in sorted(found)]) == expected


def test_a_batch_that_was_halved_stays_so_under_the_next_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(tmp_path, LatentPolicy(), sharing=True, batch_size=16)
    first, second = engine.under(LatentPolicy()), engine.under(LatentPolicy(source=LatentSource.ZERO))
    lower, refused = engine.model.lower, list[int]()

    def cramped(tokens: torch.Tensor, **rest):
        if tokens.shape[0] > 2:
            refused.append(tokens.shape[0])
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return lower(tokens, **rest)

    monkeypatch.setattr(engine.model, "lower", cramped)
    score(first, scoring(2))
    num_refused = len(refused)
    assert num_refused > 0
    score(second, scoring(2))
    score(engine.under(LatentPolicy()), scoring(2))
    assert len(refused) == num_refused
    assert engine.limits.num_rows <= 2


def nested() -> list[ScoringRequest]:
    """Questions about three passages, all behind one header: a prefix behind a prefix."""
    rng = random.Random(8)
    header, *passages = (bytes(rng.choices(range(97, 123), k=128)) for _ in range(4))
    return [
        ScoringRequest(
            context=tuple(header + passage + b" question " + bytes([97 + number])),
            continuation=tuple(choice),
            noise=NoiseKey(seed=1, item=f"t/{place}/{number}", draw=draw),
            donor=tuple(header),
        )
        for place, passage in enumerate(passages)
        for number in range(3)
        for choice in (b"A", b" the other")
        for draw in (0, 1)
    ]


@pytest.mark.parametrize("policy", [POLICIES[0], POLICIES[1], POLICIES[-1]], ids=[NAMES[0], NAMES[1], NAMES[-1]])
def test_prefixes_behind_prefixes_change_no_answer(tmp_path: Path, policy: LatentPolicy | None) -> None:
    requests = nested()
    assert {group.prefix.cuts for group in group_by_prefix([r.context for r in requests], min_saved_tokens=128)} == {
        (128,)
    }
    plain = score(make_engine(tmp_path / "off", policy, sharing=False), requests)
    engine = make_engine(tmp_path / "on", policy, sharing=True)
    shared = score(engine, requests)
    assert nats(shared) == pytest.approx(nats(plain), abs=2e-4)
    again = make_engine(tmp_path / "again", policy, sharing=True, batch_size=2)
    assert nats(score(again, requests, list(range(7, 19)))) == nats(shared)[7:19]
    asked = [
        GenerationRequest(prompt=r.context, params=SamplingParams(max_tokens=6), noise=r.noise, donor=r.donor)
        for r in requests
    ]
    expected = [c.token_ids for c in complete(make_engine(tmp_path / "off", policy, sharing=False), asked)]
    assert [c.token_ids for c in complete(engine, asked)] == expected
