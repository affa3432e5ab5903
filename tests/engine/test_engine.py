"""The engine's answers are those of a naive loop, whatever the batch, the order or the company."""

import json
import random

import pytest
import torch

from ft_eval.engine import Completion, Engine, GenerationRequest, Loglikelihood, SamplingParams, ScoringRequest
from ft_eval.engine.loading import ModelArguments, latent_policy, load_engine
from ft_eval.engine.stops import cut_at_stop
from ft_eval.errors import UsageError
from ft_eval.model.noise import NoiseKey, prior_codes
from ft_eval.records import LatentSource
from tests.fakes import tiny_engine

ARMS = [None, 5]
PROMPTS = ["a", "Hello there", "x = 1\n", "The quick brown fox jumps", "zz", "Q: 2+2\nA:", "0123456789" * 2]


@pytest.fixture(params=ARMS, ids=["baseline", "latent"])
def engine(request, tmp_path) -> Engine:
    return tiny_engine(tmp_path, num_bits=request.param)


def generation(text: str, index: int, *, temperature: float = 0.0, max_tokens: int = 20) -> GenerationRequest:
    return GenerationRequest(
        prompt=tuple(text.encode()),
        params=SamplingParams(max_tokens=max_tokens, temperature=temperature),
        noise=NoiseKey(seed=7, item=f"task/{index}"),
    )


def generate_all(engine: Engine, requests: list[GenerationRequest]) -> list[Completion]:
    found: dict[int, Completion] = {}
    engine.generate(requests, found.__setitem__)
    return [found[index] for index in range(len(requests))]


def score_all(engine: Engine, requests: list[ScoringRequest]) -> list[Loglikelihood]:
    found: dict[int, Loglikelihood] = {}
    engine.score(requests, found.__setitem__)
    return [found[index] for index in range(len(requests))]


def naive_greedy(engine: Engine, request: GenerationRequest) -> tuple[int, ...]:
    """Decode without a cache: the whole sequence through the model for every token."""
    tokens, new = list(request.prompt), []
    latent = engine.model.config.latent
    for _ in range(request.params.max_tokens):
        codes = prior_codes(request.noise, len(tokens), latent.num_codes)[None] if latent else None
        hidden = engine.model(torch.tensor([tokens]), codes=codes)
        token = int(engine.model.logits(hidden[0, -1]).argmax())
        tokens.append(token)
        new.append(token)
        if token in engine.tokenizer.eos_ids:
            break
    return tuple(new)


def test_generation_equals_a_loop_without_cache(engine):
    requests = [generation(text, index) for index, text in enumerate(PROMPTS)]
    with torch.inference_mode():
        expected = [naive_greedy(engine, request) for request in requests]
    assert [completion.token_ids for completion in generate_all(engine, requests)] == expected


@pytest.mark.parametrize("batch_size", [1, 2, 3, 32])
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_a_batch_of_one_equals_a_batch_of_n(tmp_path, batch_size, temperature):
    """Rows are refilled in other orders for every batch size; the tokens are the same."""
    requests = [
        generation(text, index, temperature=temperature, max_tokens=6 + 5 * index) for index, text in enumerate(PROMPTS)
    ]
    reference = generate_all(tiny_engine(tmp_path / "a", num_bits=5), requests)
    other = generate_all(tiny_engine(tmp_path / "b", num_bits=5, batch_size=batch_size), requests)
    assert [c.token_ids for c in other] == [c.token_ids for c in reference]


def test_the_order_of_requests_changes_no_answer(engine):
    requests = [generation(text, index, temperature=0.7) for index, text in enumerate(PROMPTS)]
    order = list(range(len(requests)))
    random.Random(3).shuffle(order)
    shuffled = generate_all(engine, [requests[index] for index in order])
    assert {index: c.text for index, c in zip(order, shuffled, strict=True)} == {
        index: c.text for index, c in enumerate(generate_all(engine, requests))
    }


def test_sampling_uses_the_noise_of_its_item(engine):
    first, second = (engine.complete(generation("abc", index, temperature=1.0)).token_ids for index in (0, 1))
    assert first != second
    assert first == engine.complete(generation("abc", 0, temperature=1.0)).token_ids


def test_another_draw_of_z_changes_a_latent_model_alone(tmp_path):
    """At temperature 0 a baseline knows no draw; a latent model does."""
    answers = {}
    for bits in ARMS:
        engine = tiny_engine(tmp_path / str(bits), num_bits=bits)
        for draw in (0, 1):
            noise = NoiseKey(seed=7, item="task/0", draw=draw)
            request = GenerationRequest(prompt=(72, 105), params=SamplingParams(max_tokens=30), noise=noise)
            answers[bits, draw] = engine.complete(request).token_ids
    assert answers[None, 0] == answers[None, 1]
    assert answers[5, 0] != answers[5, 1]


def test_zero_latents_ignore_the_draw_and_fixed_latents_the_item(tmp_path):
    zero = tiny_engine(tmp_path / "z", num_bits=5, source=LatentSource.ZERO)
    fixed = tiny_engine(tmp_path / "f", num_bits=5, source=LatentSource.FIXED)
    for engine in (zero, fixed):
        one, two = (engine.complete(generation("abc", index)).token_ids for index in (0, 1))
        assert one == two


@pytest.mark.parametrize("max_tokens", [1, 5, 200])
def test_a_completion_ends_at_its_limit_or_at_the_end_of_the_context(engine, max_tokens):
    prompt = "abcdef"
    completion = engine.complete(generation(prompt, 0, max_tokens=max_tokens))
    assert len(completion.token_ids) <= min(max_tokens, engine.max_length - len(prompt))


def test_stop_strings_cut_each_row_where_lm_eval_cuts_it(engine):
    from lm_eval.models.utils import postprocess_generated_text

    plain = [engine.complete(generation(text, index, max_tokens=40)) for index, text in enumerate(PROMPTS)]
    # a half-decoded character reads as U+FFFD, which no task stops at
    readable = [[char for char in c.text if char != "\ufffd"] for c in plain]
    stops = [tuple(dict.fromkeys(("".join(chars[3:4]), "".join(chars[6:7])))) for chars in readable]
    requests = [
        GenerationRequest(
            prompt=tuple(text.encode()),
            params=SamplingParams(max_tokens=40, stop=stop),
            noise=NoiseKey(seed=7, item=f"task/{index}"),
        )
        for index, (text, stop) in enumerate(zip(PROMPTS, stops, strict=True))
    ]
    cut = generate_all(engine, requests)
    for whole, stop, completion in zip(plain, stops, cut, strict=True):
        assert completion.text == postprocess_generated_text(whole.text, list(stop), None)
        assert len(completion.token_ids) <= len(whole.token_ids)
    assert any(len(a.token_ids) < len(b.token_ids) for a, b in zip(cut, plain, strict=True))


def test_a_stop_string_that_spans_many_tokens_is_found(engine):
    whole = engine.complete(generation("abc", 0, max_tokens=40)).text
    stop = whole[2:22]
    assert (
        cut_at_stop(whole, [stop])
        == engine.complete(
            GenerationRequest(
                prompt=tuple(b"abc"),
                params=SamplingParams(max_tokens=40, stop=(stop,)),
                noise=NoiseKey(seed=7, item="task/0"),
            )
        ).text
    )


def scoring(context: str, continuation: str, item: int = 0) -> ScoringRequest:
    return ScoringRequest(
        context=tuple(context.encode()),
        continuation=tuple(continuation.encode()),
        noise=NoiseKey(seed=7, item=f"t/{item}"),
    )


def naive_score(engine: Engine, request: ScoringRequest) -> float:
    """Sum log-softmax over the whole sequence, one row, every logit."""
    tokens = list(request.context + request.continuation)
    latent = engine.model.config.latent
    codes = prior_codes(request.noise, len(tokens), latent.num_codes)[None] if latent else None
    logits = engine.model.logits(engine.model(torch.tensor([tokens]), codes=codes))[0].double()
    steps = range(len(request.context), len(tokens))
    return sum(float(logits[t - 1].log_softmax(-1)[tokens[t]]) for t in steps)


def test_scores_equal_a_loop_over_single_rows(engine):
    requests = [scoring(a, b, item) for item, a in enumerate(PROMPTS) for b in (" A", " B", " a longer choice", "!")]
    with torch.inference_mode():
        expected = [naive_score(engine, request) for request in requests]
    assert [score.total_nats for score in score_all(engine, requests)] == pytest.approx(expected, abs=1e-4)


def test_choices_of_one_item_share_a_row_and_those_of_another_do_not(tmp_path):
    """The same context with another item's Z is another input for a latent model."""
    engine = tiny_engine(tmp_path, num_bits=5)
    a, b = score_all(engine, [scoring("question", "A", 0), scoring("question", "A", 1)])
    assert a.total_nats != b.total_nats


def test_greedy_is_what_generation_gives(engine):
    prompt = "abc"
    new = engine.complete(generation(prompt, 0, max_tokens=3)).token_ids
    noise = NoiseKey(seed=7, item="task/0")
    right = ScoringRequest(context=tuple(prompt.encode()), continuation=new, noise=noise)
    wrong = ScoringRequest(context=tuple(prompt.encode()), continuation=(*new[:-1], (new[-1] + 1) % 256), noise=noise)
    assert [score.is_greedy for score in score_all(engine, [right, wrong])] == [True, False]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("max_tokens", 0, "max_tokens is 0"),
        ("temperature", -1.0, "temperature is -1.0"),
        ("temperature", float("nan"), "temperature is nan"),
        ("top_p", 0.0, "top_p is 0.0"),
        ("top_k", -2, "top_k is -2"),
    ],
)
def test_a_decoding_parameter_out_of_range_is_refused(field, value, words):
    with pytest.raises(UsageError, match=words):
        SamplingParams(**{"max_tokens": 3, field: value})


def test_requests_that_do_not_fit_the_context_are_refused(engine):
    with pytest.raises(UsageError, match="a prompt of 64 tokens in a context of 64"):
        engine.complete(generation("a" * 64, 0))
    with pytest.raises(UsageError, match="at most 65"):
        engine.loglikelihood(scoring("a" * 64, "bc"))


def test_no_requests_give_no_answers(engine):
    assert generate_all(engine, []) == []
    assert score_all(engine, []) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dtype": "float33"}, "unknown data type; did you mean float32"),
        ({"device": "cuda:7"}, "this machine has"),
        ({"device": "tpu"}, "unknown device"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(tmp_path, arguments, words):
    tiny_engine(tmp_path, num_bits=3)
    with pytest.raises(UsageError, match=words):
        load_engine(ModelArguments(path=tmp_path, **arguments))


@pytest.mark.parametrize(
    ("source", "z_draws", "words"),
    [
        ("priro", "1", "unknown policy; did you mean prior"),
        ("prior", "0", "expected auto or a number"),
        ("prior", "-3", "expected auto or a number"),
        ("prior", "٣", "expected auto or a number"),
        ("prior", "many", "expected auto or a number"),
    ],
)
def test_a_policy_that_cannot_be_is_named(source, z_draws, words):
    with pytest.raises(UsageError, match=words):
        latent_policy(source, z_draws)


def test_a_real_model_gives_its_known_text(stories):
    engine = load_engine(ModelArguments(path=stories, device="cpu"))
    expected = json.loads((stories / "greedy_expected_ids.json").read_text())
    request = GenerationRequest(
        prompt=tuple(expected[:1]),
        params=SamplingParams(max_tokens=len(expected) - 1),
        noise=NoiseKey(seed=0, item="story"),
    )
    assert list(engine.complete(request).token_ids) == expected[1:]
