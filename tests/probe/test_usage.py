"""KL, bits, information and persistence: planted structure is found, and only that."""

import math

import numpy as np
import pytest
import torch

from ft_eval.model.latent import kl_per_bit_nats
from ft_eval.model.transformer import Transformer
from ft_eval.probe.posterior import encode_whole_text_leaking_target
from ft_eval.probe.usage import MAX_PROMPTS, binary_entropy_bits, measure_prompts, measure_usage, usage_of
from tests.fakes import tiny_config, tiny_model
from tests.probe.planted import one_bit_model, window, windows


@pytest.mark.parametrize("bit", [0, 3])
@torch.inference_mode()
def test_a_model_that_encodes_one_bit_has_exactly_that_bit_active(bit: int) -> None:
    (usage,) = measure_usage(one_bit_model(bit), windows(5, 12))
    assert [index for index, found in enumerate(usage.bits) if found.is_active] == [bit]
    assert usage.num_active_bits == 1
    assert usage.information_bits == pytest.approx(usage.bits[bit].information_bits)
    assert 0.01 < usage.information_bits < usage.kl_bits
    assert usage.kl_bits == pytest.approx(usage.bits[bit].kl_bits)
    assert not usage.is_collapsed


@torch.inference_mode()
def test_an_encoder_that_says_nothing_raises_the_alarm() -> None:
    model = tiny_model(num_bits=4)
    assert model.latent is not None
    model.latent.encoder.readout.weight.zero_()
    (usage,) = measure_usage(model, windows(3, 8))
    assert usage.is_collapsed
    assert usage.num_active_bits == 0
    assert all(bit.persistence == pytest.approx(0.5) for bit in usage.bits)


@torch.inference_mode()
def test_kl_is_the_models_own_in_bits_over_all_tokens_but_the_last() -> None:
    model, texts = tiny_model(num_bits=3), [window(b"abcdef"), window(b"xyz", index=1)]
    (usage,) = measure_usage(model, texts)
    logits = torch.cat([encode_whole_text_leaking_target(model, text.token_ids)[1] for text in texts])
    per_bit = kl_per_bit_nats(logits).mean(0) / math.log(2)
    assert [bit.kl_bits for bit in usage.bits] == pytest.approx(per_bit.tolist(), abs=1e-6)
    assert usage.num_tokens == 9
    assert usage.num_texts == 2


@torch.inference_mode()
def test_groups_are_measured_apart_after_all_texts_together() -> None:
    texts = [window(b"abcdef", group="a"), window(b"xyz", group="b")]
    usages = measure_usage(tiny_model(num_bits=3), texts)
    assert [usage.group for usage in usages] == ["all", "a", "b"]
    assert usages[0].num_tokens == usages[1].num_tokens + usages[2].num_tokens


def test_a_bit_that_is_always_one_has_a_kl_and_no_information_and_raises_the_alarm() -> None:
    usage = usage_of("x", [np.ones((50, 1))] * 3, num_texts=3)
    assert usage.bits[0].kl_bits == usage.kl_bits == 1.0
    assert usage.is_collapsed
    assert usage.num_active_bits == 0
    assert usage.bits[0].information_bits == 0.0
    assert usage.bits[0].persistence == usage.bits[0].persistence_by_chance == 1.0


def test_persistence_tells_a_bit_that_stays_from_one_that_flips_and_from_chance() -> None:
    stays = np.repeat([[0.0], [1.0]], 50, axis=0)
    flips = np.tile([[0.0], [1.0]], (50, 1))
    chance = np.random.default_rng(0).integers(0, 2, size=(5000, 1)).astype(float)
    for ones, expected in ((stays, 98 / 99), (flips, 0.0), (chance, 0.5)):
        bit = usage_of("x", [ones], num_texts=1).bits[0]
        assert bit.persistence == pytest.approx(expected, abs=0.03)
        assert bit.persistence_by_chance == pytest.approx(0.5, abs=0.03)
        assert bit.information_bits == pytest.approx(1.0, abs=0.01)


def test_a_bit_that_tells_positions_and_no_texts_apart_has_no_information() -> None:
    rows = np.repeat([[0.0], [1.0]], 5, axis=0)
    told = usage_of("x", [rows, rows, rows], num_texts=3)
    assert told.bits[0].information_bits == 0.0
    apart = usage_of("x", [rows, 1 - rows], num_texts=2)
    assert apart.bits[0].information_bits == pytest.approx(1.0)
    assert not apart.is_collapsed


def test_positions_that_one_text_alone_reaches_are_left_out_of_the_information() -> None:
    usage = usage_of("x", [np.array([[1.0], [1.0], [1.0]]), np.array([[0.0]])], num_texts=2)
    assert usage.bits[0].information_bits == pytest.approx(1.0)


def test_persistence_does_not_cross_from_one_text_to_the_next() -> None:
    usage = usage_of("x", [np.zeros((5, 1)), np.ones((5, 1))], num_texts=2)
    assert usage.bits[0].persistence == 1.0


def test_kl_by_position_is_the_mean_over_the_texts_that_reach_it() -> None:
    usage = usage_of("x", [np.array([[1.0], [0.5]]), np.array([[0.5]])], num_texts=2)
    assert usage.kl_bits_by_position == pytest.approx((0.5, 0.0))


def test_binary_entropy_is_zero_at_the_ends_and_one_in_the_middle() -> None:
    assert binary_entropy_bits(np.array([0.0, 0.5, 1.0])) == pytest.approx([0.0, 1.0, 0.0])


def prompts(num_prompts: int, length: int, *, begin: tuple[int, ...] = (256,), seed: int = 0) -> list[tuple[int, ...]]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(97, 123, (num_prompts, length), generator=generator).tolist()
    return [(*begin, *row) for row in rows]


@torch.inference_mode()
def ones_of(model: Transformer, prompt: tuple[int, ...]) -> np.ndarray:
    return torch.sigmoid(model.encode(model.lower(torch.tensor([prompt])))[0].double()).numpy()


def test_prompts_are_encoded_whole_and_alone_and_held_together_at_their_ends() -> None:
    model, given = tiny_model(num_bits=4), [*prompts(3, 12), *prompts(2, 30, seed=1)]
    expected = usage_of("x", [np.flip(ones_of(model, prompt), axis=0) for prompt in given], num_texts=5)
    found = measure_prompts(model, given)
    assert found is not None
    assert found.kl_bits == pytest.approx(expected.kl_bits)
    assert found.information_bits == pytest.approx(expected.information_bits)
    assert (found.num_tokens, found.num_prompts) == (3 * 13 + 2 * 31, 5)


def test_only_the_last_64_tokens_of_a_long_prompt_count_and_all_of_it_is_encoded() -> None:
    model, given = tiny_model(num_bits=4, max_length=256), prompts(3, 20, begin=tuple(range(97, 117)) * 6)
    ends = [np.flip(ones_of(model, prompt)[-64:], axis=0) for prompt in given]
    found = measure_prompts(model, given)
    assert found is not None
    assert found.num_tokens == 3 * 64
    assert found.kl_bits == pytest.approx(usage_of("x", ends, num_texts=3).kl_bits)
    cut = measure_prompts(model, [prompt[-64:] for prompt in given])
    assert cut is not None
    assert cut.kl_bits != pytest.approx(found.kl_bits, rel=1e-6)


def test_where_prompts_stand_and_how_often_they_come_changes_nothing() -> None:
    model, given = tiny_model(num_bits=4), prompts(5, 9)
    assert measure_prompts(model, [*given, *given[:2]]) == measure_prompts(model, given)


def test_at_most_32_prompts_are_encoded() -> None:
    model, given = tiny_model(num_bits=2), prompts(40, 5)
    assert len(set(given)) == 40
    assert measure_prompts(model, given) == measure_prompts(model, given[:MAX_PROMPTS])


@pytest.mark.parametrize("given", [[], prompts(1, 9), prompts(1, 9) * 4])
def test_fewer_than_two_different_prompts_say_nothing_of_what_differs(given: list[tuple[int, ...]]) -> None:
    assert measure_prompts(tiny_model(num_bits=4), given) is None


def test_a_baseline_and_a_model_without_an_encoder_are_left_alone() -> None:
    class WithoutEncoder(Transformer):
        def encode(self, x: torch.Tensor, *, lengths: torch.Tensor | None = None) -> torch.Tensor:
            raise NotImplementedError

    assert measure_prompts(tiny_model(), prompts(3, 9)) is None
    assert measure_prompts(WithoutEncoder(tiny_config(num_bits=4)), prompts(3, 9)) is None


def test_an_encoder_that_says_the_same_of_every_prompt_has_a_kl_and_no_information() -> None:
    """A dead encoder with lopsided bits: the KL alone would not tell."""
    model = one_bit_model(0)
    assert model.latent is not None
    same_for_all = model.latent.encoder.readout
    with torch.no_grad():
        same_for_all.weight.zero_()
    plain = measure_prompts(model, prompts(4, 9))
    hook = same_for_all.register_forward_hook(lambda _, __, logits: logits + 3.0)
    lopsided = measure_prompts(model, prompts(4, 9))
    hook.remove()
    assert plain is not None
    assert lopsided is not None
    assert (plain.kl_bits, plain.information_bits) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert lopsided.kl_bits > 1.0
    assert lopsided.information_bits == pytest.approx(0.0, abs=1e-9)
