"""Texts become the token ids that lm-eval's own backend would feed its model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_eval.errors import TaskError
from ft_eval.harness.encoding import Encoder
from ft_eval.model.checkpoint import read_config
from ft_eval.model.tokenizer import Tokenizer
from tests.fakes import write_checkpoint

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Encoder:
    folder = write_checkpoint(tmp_path_factory.mktemp("byte"))
    return Encoder(Tokenizer.load(folder, read_config(folder)), 64)


@pytest.fixture(scope="module")
def llama(shared_dir) -> Encoder:
    folder = shared_dir / "checkpoints" / "stories260K"
    config = read_config(folder)
    return Encoder(Tokenizer.load(folder, config), config.max_position_embeddings)


@pytest.fixture(scope="module")
def reference(shared_dir):
    pytest.importorskip("transformers", reason="lm-eval's hf backend is the reference")
    pytest.importorskip("accelerate", reason="lm-eval's hf backend imports it")
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(shared_dir / "checkpoints" / "stories260K"), device="cpu", dtype="float32")


@given(context=TEXTS, continuation=TEXTS.filter(lambda text: text.strip()))
@settings(deadline=None, max_examples=150)
def test_a_pair_is_split_as_lm_eval_splits_it(llama, reference, context, continuation):
    expected = (
        reference._encode_pair(context, continuation)
        if context
        else ([reference.prefix_token_id], reference.tok_encode(continuation, add_special_tokens=False))
    )
    assert llama.pair(context, continuation) == tuple(map(list, expected))


@pytest.mark.parametrize("text", ["Once upon", "<s>Once upon", "", " x", "x \n"])
def test_special_tokens_are_added_where_lm_eval_adds_them(llama, reference, text):
    assert llama.encode(text) == reference.tok_encode(text)
    assert llama.encode(text, add_special_tokens=False) == reference.tok_encode(text, add_special_tokens=False)


@given(texts=st.lists(st.tuples(TEXTS, TEXTS), min_size=2, max_size=6), kwargs=st.lists(st.integers(1, 3), min_size=2))
@settings(deadline=None, max_examples=50)
def test_what_was_encoded_before_changes_nothing(encoder, texts, kwargs):
    def fresh() -> Encoder:
        return Encoder(encoder._tokenizer, 64)

    used = fresh()
    assert [used.pair(*pair) for pair in texts] == [fresh().pair(*pair) for pair in texts]
    spelled = [{"until": ["\n"], "max_gen_toks": number} for number in kwargs]
    assert [used.sampling(one) for one in spelled] == [fresh().sampling(one) for one in spelled]


def test_a_first_context_of_blanks_alone_is_an_empty_text(encoder):
    fresh = Encoder(encoder._tokenizer, 64)
    assert fresh.pair("\n", "x")[0] == encoder.encode("")


@given(num_context=st.integers(1, 200), num_continuation=st.integers(1, 64))
@settings(deadline=None)
def test_a_pair_that_is_too_long_is_cut_on_the_left(encoder, num_context, num_continuation):
    context, continuation = list(range(num_context)), list(range(1000, 1000 + num_continuation))
    pair = encoder.fit_pair(context, continuation)
    assert [*pair.context, *pair.continuation] == (context + continuation)[-65:]
    assert pair.num_truncated_tokens == num_context - len(pair.context)


@pytest.mark.parametrize("num_continuation", [0, 65])
def test_a_continuation_that_cannot_be_scored_is_refused(encoder, num_continuation):
    with pytest.raises(TaskError, match=f"a continuation of {num_continuation} tokens"):
        encoder.fit_pair([1], [2] * num_continuation)


def test_a_prompt_leaves_room_for_its_answer(encoder):
    prompt = encoder.prompt("x" * 100, 20)
    assert (len(prompt.token_ids), prompt.num_truncated_tokens) == (44, 57)


def test_an_answer_longer_than_the_context_leaves_half_for_the_prompt(encoder):
    assert len(encoder.prompt("x" * 100, 1024).token_ids) == 32


def test_an_empty_prompt_is_the_prefix_token(encoder):
    assert encoder.prompt("", 10).token_ids == (encoder.prefix_token,)


def test_generation_kwargs_mean_what_they_mean_to_lm_eval(encoder):
    greedy = encoder.sampling({"until": ["\n"], "do_sample": False, "temperature": 0.7})
    assert (greedy.temperature, greedy.max_tokens, greedy.stop[0]) == (0.0, 256, "\n")
    sampled = encoder.sampling({"until": "Q:", "do_sample": True, "temperature": 0.2, "top_p": 0.95, "max_gen_toks": 9})
    assert (sampled.temperature, sampled.top_p, sampled.max_tokens, sampled.stop[0]) == (0.2, 0.95, 9, "Q:")


def test_the_end_of_text_token_is_a_stop_string_too(encoder):
    assert encoder.sampling({"until": []}).stop[-1:] == (encoder._tokenizer.eos_text,)


def test_an_unknown_generation_kwarg_is_named(encoder):
    with pytest.raises(TaskError, match="num_beams, which this backend does not have"):
        encoder.sampling({"until": [], "num_beams": 4})
