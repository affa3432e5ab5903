"""No policy lets an answer see itself: what is scored depends on what came before it, and Z on the prompt alone."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ft_eval.engine import Engine, GenerationRequest, SamplingParams, ScoringRequest
from ft_eval.engine.latents import LatentContext, LatentSampler
from ft_eval.errors import UsageError
from ft_eval.model.latent import NO_CODE
from ft_eval.model.noise import NoiseKey, prior_codes
from ft_eval.records import EngineOptions, LatentPolicy, LatentSource
from tests.fakes import tiny_engine, tiny_model

TOKENS = st.lists(st.integers(0, 255), min_size=1, max_size=12).map(tuple)
POLICIES = list(LatentSource)
DONOR = tuple(b"another item's prompt")
KEY = NoiseKey(seed=3, item="t/0")


def engine_of(seed: int, source: LatentSource, folder) -> Engine:
    plain = tiny_engine(folder, num_bits=4)
    model = tiny_model(num_bits=4, seed=seed)
    return Engine(model, plain.tokenizer, latents=LatentPolicy(source=source), options=EngineOptions())


def token_scores(engine: Engine, context, continuation) -> list[float]:
    """The log-likelihood of each token of a continuation, by differences of its prefixes' scores."""
    totals = [
        engine.loglikelihood(
            ScoringRequest(context=context, continuation=continuation[:count], noise=KEY, donor=DONOR)
        ).total_nats
        for count in range(1, len(continuation) + 1)
    ]
    return [b - a for a, b in zip([0.0, *totals], totals, strict=False)]


@pytest.mark.parametrize("source", POLICIES)
@given(context=TOKENS, continuation=TOKENS, other=TOKENS, seed=st.integers(0, 5))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_later_tokens_never_change_the_score_of_earlier_ones(source, context, continuation, other, seed, tmp_path):
    """The continuation is replaced behind its first half: the scores of that half stay."""
    engine = engine_of(seed, source, tmp_path)
    half = len(continuation) // 2 + 1
    changed = continuation[:half] + other
    ours, theirs = (token_scores(engine, context, text)[:half] for text in (continuation, changed))
    assert ours == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("source", POLICIES)
@given(context=TOKENS, first=TOKENS, second=TOKENS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_codes_are_the_same_for_every_continuation(source, context, first, second, tmp_path):
    """By construction: what a request's Z may depend on has no continuation in it."""
    contexts = [
        ScoringRequest(context=context, continuation=text, noise=KEY, donor=DONOR).latent_context
        for text in (first, second)
    ]
    assert contexts[0] == contexts[1]
    sampler = engine_of(0, source, tmp_path)._sampler
    codes = [sampler.codes(one, 30) for one in contexts]
    assert codes[0] is not None
    assert codes[1] is not None
    assert torch.equal(codes[0], codes[1])


def loud_model():
    """A model whose encoder is sure of its bits and whose table is loud, so that where Z comes from shows."""
    model = tiny_model(num_bits=8, seed=1)
    assert model.latent is not None
    with torch.no_grad():
        model.latent.post_sampler.weight.mul_(20.0)
        model.latent.encoder.readout.weight.mul_(50.0)
    return model


@pytest.mark.parametrize("source", POLICIES)
def test_generation_and_scoring_see_one_and_the_same_z(source, tmp_path):
    """What greedy decoding generates is what scoring calls greedy: both entry points draw the same Z."""
    engine = engine_of(2, source, tmp_path)
    prompt = tuple(b"Question: what?")
    new = engine.complete(
        GenerationRequest(prompt=prompt, params=SamplingParams(max_tokens=12), noise=KEY, donor=DONOR)
    ).token_ids
    score = engine.loglikelihood(ScoringRequest(context=prompt, continuation=new, noise=KEY, donor=DONOR))
    assert score.is_greedy


def sampler(source: LatentSource) -> LatentSampler:
    return LatentSampler(loud_model(), LatentPolicy(source=source))


def context(prompt: bytes, item: str = "t/0", draw: int = 0, donor: bytes = b"") -> LatentContext:
    return LatentContext(noise=NoiseKey(seed=3, item=item, draw=draw), prompt=tuple(prompt), donor=tuple(donor))


def codes(source: LatentSource, given: LatentContext, count: int = 20) -> list[int]:
    drawn = sampler(source).codes(given, count)
    assert drawn is not None
    return [int(code) for code in drawn]


def test_after_the_prompt_every_posterior_is_the_prior():
    given = context(b"abcdef", donor=b"zyxwvutsr")
    prior = prior_codes(given.noise, 20, 256).tolist()
    assert codes(LatentSource.PRIOR, given) == prior
    for source in (LatentSource.POSTERIOR, LatentSource.SHUFFLED):
        assert codes(source, given)[6:] == prior[6:]
        assert codes(source, given)[:6] != prior[:6]


def test_the_posterior_is_the_encoders_on_the_prompt():
    """Frequencies of bits over draws are the encoder's probabilities."""
    model = loud_model()
    prompt = tuple(b"abcdef")
    expected = torch.sigmoid(model.encode(model.lower(torch.tensor([prompt])))[0].double())
    drawer = LatentSampler(model, LatentPolicy(source=LatentSource.POSTERIOR))
    found = [drawer.codes(context(b"abcdef", draw=draw), 6) for draw in range(600)]
    draws = torch.stack([one for one in found if one is not None])
    bits = (draws[..., None] >> torch.arange(8)) & 1
    assert torch.allclose(bits.double().mean(0), expected, atol=0.09)


def test_shuffled_looks_at_the_donor_alone():
    one, two = (codes(LatentSource.SHUFFLED, context(prompt, donor=b"donor text")) for prompt in (b"abcdef", b"ghijkl"))
    assert one == two
    assert one != codes(LatentSource.SHUFFLED, context(b"abcdef", donor=b"other text"))


def test_shuffled_without_a_donor_is_refused():
    with pytest.raises(UsageError, match="at least 2 documents"):
        codes(LatentSource.SHUFFLED, context(b"abc"))


def test_zero_is_no_code_and_fixed_is_one_sequence_for_all():
    assert set(codes(LatentSource.ZERO, context(b"abc"))) == {NO_CODE}
    assert codes(LatentSource.FIXED, context(b"abc", item="a/1")) == codes(
        LatentSource.FIXED, context(b"xyz", item="b/2")
    )
    assert codes(LatentSource.FIXED, context(b"abc", draw=1)) != codes(LatentSource.FIXED, context(b"abc", draw=2))


def test_a_policy_must_fit_the_model():
    with pytest.raises(UsageError, match="a baseline takes no latent policy; got prior"):
        LatentSampler(tiny_model(), LatentPolicy())
    with pytest.raises(UsageError, match="a latent model needs a policy"):
        LatentSampler(tiny_model(num_bits=3), None)


@pytest.mark.parametrize("source", [LatentSource.PRIOR, LatentSource.POSTERIOR])
def test_a_choice_is_scored_under_the_z_of_its_question(source, tmp_path):
    """All choices of an item have one Z: the difference of two scores is not the difference of two draws."""
    engine = engine_of(1, source, tmp_path)
    question = tuple(b"Which one?")
    together: dict[int, float] = {}
    requests = [ScoringRequest(context=question, continuation=(choice,), noise=KEY) for choice in b"ABCD"]
    engine.score(requests, lambda index, score: together.__setitem__(index, score.total_nats))
    drawn = engine._sampler.codes(requests[0].latent_context, len(question))
    assert drawn is not None
    with torch.inference_mode():
        hidden = engine.model(torch.tensor([question]), codes=drawn[None])
        expected = engine.model.logits(hidden[0, -1]).double().log_softmax(-1)
    assert [together[i] for i in range(4)] == pytest.approx([float(expected[c]) for c in b"ABCD"], abs=1e-4)
