"""A model whose encoder copies the answer into Z: all-knowing where the encoder sees the answer, at chance with us."""

import math
import random

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ft_eval.engine import Engine, GenerationRequest, Loglikelihood, SamplingParams, ScoringRequest
from ft_eval.model.config import ModelConfig
from ft_eval.model.noise import NoiseKey
from ft_eval.probe.posterior import draw_posterior_codes, encode_whole_text_leaking_target
from ft_eval.records import EngineOptions, LatentPolicy, LatentSource
from tests.fakes import tiny_config, tiny_engine

NUM_ITEMS = 300
NUM_CHOICES = 4
SURE = 30.0
"""A logit beyond doubt."""


class CopyingModel:
    """Z_t is the token at t + 1, as far as the encoder has seen it; the decoder says Z_t is what comes next."""

    dtype = torch.float32
    device = torch.device("cpu")

    @property
    def config(self) -> ModelConfig:
        return tiny_config(num_bits=8)

    def lower(self, token_ids: Tensor, **_: object) -> Tensor:
        return token_ids[..., None].float()

    def encode(self, x: Tensor, **_: object) -> Tensor:
        following = x[:, 1:, 0].long()
        bits = ((following[..., None] >> torch.arange(8)) & 1).float()
        return torch.cat((bits * 2 - 1, torch.zeros(len(x), 1, 8)), dim=1) * SURE

    def post_sample(self, codes: Tensor) -> Tensor:
        return F.one_hot(codes.clamp_min(0), 256).float() * (codes >= 0)[..., None]

    def upper(self, x: Tensor, *, residual: Tensor | None = None, **_: object) -> Tensor:
        assert residual is not None
        return residual

    def __call__(self, token_ids: Tensor, *, codes: Tensor | None = None, **_: object) -> Tensor:
        assert codes is not None
        return self.upper(self.lower(token_ids), residual=self.post_sample(codes))

    def logits(self, hidden: Tensor) -> Tensor:
        return F.pad(hidden * SURE, (0, 4))

    def new_cache(self, num_rows: int, max_length: int) -> "CopyingModel":
        return self

    def rows(self, start: int, stop: int) -> "CopyingModel":
        return self

    def move_row(self, src: int, dst: int, length: int) -> None:
        """Nothing is kept, so nothing moves."""


def items() -> list[tuple[tuple[int, ...], list[tuple[int, ...]], int]]:
    """Random questions with four random answers each, and the number of the right one."""
    rng = random.Random(5)
    made = []
    for _ in range(NUM_ITEMS):
        context = tuple(rng.choices(range(97, 123), k=10))
        choices = [tuple(rng.choices(range(97, 123), k=3)) for _ in range(NUM_CHOICES)]
        made.append((context, choices, rng.randrange(NUM_CHOICES)))
    return made


def copying_engine(tmp_path, source: LatentSource) -> Engine:
    tokenizer = tiny_engine(tmp_path, num_bits=8).tokenizer
    return Engine(CopyingModel(), tokenizer, latents=LatentPolicy(source=source), options=EngineOptions())


def test_it_knows_every_answer_that_its_encoder_has_seen():
    model = CopyingModel()
    for context, choices, right in items()[:20]:
        text = context + choices[right]
        _, bit_logits = encode_whole_text_leaking_target(model, text)
        codes = draw_posterior_codes(bit_logits, NoiseKey(seed=1, item="leak"), 1)
        logits = model.logits(model(torch.tensor([text[:-1]]), codes=codes))[0]
        logprobs = torch.log_softmax(logits, -1)[len(context) - 1 :].gather(
            1, torch.tensor(text[len(context) :])[:, None]
        )
        assert float(logprobs.sum()) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("source", list(LatentSource))
def test_it_scores_at_chance_under_every_policy(source: LatentSource, tmp_path) -> None:
    """The right answer wins as often as any other, and its likelihood is that of a guess."""
    engine, made = copying_engine(tmp_path, source), items()
    requests = [
        ScoringRequest(
            context=context,
            continuation=choice,
            noise=NoiseKey(seed=7, item=f"t/{number}"),
            donor=made[number - 1][0],
        )
        for number, (context, choices, _) in enumerate(made)
        for choice in choices
    ]
    found: dict[int, Loglikelihood] = {}
    engine.score(requests, found.__setitem__)
    best = [
        max(range(NUM_CHOICES), key=lambda choice: found[number * NUM_CHOICES + choice].total_nats)
        for number in range(NUM_ITEMS)
    ]
    accuracy = sum(guess == right for guess, (_, _, right) in zip(best, made, strict=True)) / NUM_ITEMS
    assert accuracy == pytest.approx(1 / NUM_CHOICES, abs=4 * math.sqrt(0.25 * 0.75 / NUM_ITEMS))
    known = [found[number * NUM_CHOICES + right].total_nats for number, (_, _, right) in enumerate(made)]
    assert max(known) < -5.0, "no answer is known"


@pytest.mark.parametrize("source", [LatentSource.PRIOR, LatentSource.POSTERIOR])
def test_it_generates_no_answer_either(source: LatentSource, tmp_path) -> None:
    engine = copying_engine(tmp_path, source)
    context, choices, right = items()[0]
    completion = engine.complete(
        GenerationRequest(prompt=context, params=SamplingParams(max_tokens=3), noise=NoiseKey(seed=7, item="t/0"))
    )
    assert completion.token_ids != choices[right]
