"""KL, bits, information and persistence: planted structure is found, and only that."""

import math

import numpy as np
import pytest
import torch

from ft_eval.model.latent import kl_per_bit_nats
from ft_eval.probe.posterior import encode_whole_text_leaking_target
from ft_eval.probe.usage import binary_entropy_bits, measure_usage, question_kappa, usage_of
from tests.fakes import tiny_model
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


@pytest.mark.parametrize(("value", "meant"), [(0.6931, "write 1"), (0.3466, "write 0.5"), (0.1733, "write 0.25")])
def test_a_kappa_that_looks_like_nats_is_questioned(value: float, meant: str) -> None:
    question = question_kappa(value)
    assert question is not None
    assert question.endswith(meant)
    assert "\n" not in question


@pytest.mark.parametrize("value", [None, 0.0, 0.25, 0.5, 0.7, 1.0, 2.0, 1 / 64])
def test_a_kappa_that_can_be_bits_is_not_questioned(value: float | None) -> None:
    assert question_kappa(value) is None
