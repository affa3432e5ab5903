"""The synthetic experiment's numbers find what was planted in the sequences."""

import random

import pytest

from ft_eval.engine.requests import Completion, FinishReason
from ft_eval.probe.groups import best_position, group_numbers, mask_phi, verdict
from ft_eval.probe.sampling import Groups
from ft_eval.toy.corpora.target import clean_body

PROMPTS = ("K>", "A>")


def _completion(text: str) -> Completion:
    return Completion(token_ids=tuple(text.encode()), text=text, finish_reason=FinishReason.STOP, seconds=0.0)


def _noisy(body: str, mask: set[int]) -> Completion:
    return _completion("".join("!" if place in mask else character for place, character in enumerate(body)))


def _mask(rng: random.Random) -> set[int]:
    return {place for place in range(64) if rng.random() < 1 / 8}


def _sampled(*, share_position: bool, share_mask: bool, seed: int = 0) -> list[Groups]:
    rng = random.Random(seed)
    found: list[Groups] = []
    for prompt in PROMPTS:
        groups = []
        for _ in range(20):
            position, mask = rng.randrange(57), _mask(rng)
            groups.append(
                tuple(
                    _noisy(
                        clean_body(prompt[0], position if share_position else rng.randrange(57)),
                        mask if share_mask else _mask(rng),
                    )
                    for _ in range(5)
                )
            )
        found.append(tuple(groups))
    return found


@pytest.mark.parametrize(
    ("share_position", "share_mask", "words"),
    [
        (False, False, "nothing"),
        (True, False, "position"),
        (True, True, "position and noise"),
        (False, True, "noise"),
    ],
)
def test_what_a_group_shares_is_found_and_nothing_else(share_position: bool, share_mask: bool, words: str) -> None:
    blue = group_numbers(PROMPTS, _sampled(share_position=False, share_mask=False, seed=1))
    green = group_numbers(PROMPTS, _sampled(share_position=share_position, share_mask=share_mask))
    assert verdict(blue, green) == words
    assert green.well_formed == blue.well_formed == 1.0
    assert blue.position_spread_within == pytest.approx(16.5, abs=2.0)
    assert green.mask_between == pytest.approx(0.0, abs=0.05)
    if share_position:
        assert green.position_spread_within < 1.0
        assert green.position_shared > 0.98


def test_broken_sequences_are_called_broken() -> None:
    rng = random.Random(0)
    broken = [
        tuple(tuple(_completion("".join(rng.choices("K_!x", k=64))) for _ in range(5)) for _ in range(4))
        for _ in PROMPTS
    ]
    numbers = group_numbers(PROMPTS, broken)
    assert numbers.well_formed == 0.0
    assert numbers.agreement < 0.8
    assert "broken" in verdict(numbers, numbers)


def test_the_best_position_is_the_clean_one_through_noise() -> None:
    assert best_position("K", "!" + clean_body("K", 20)[1:]) == 20
    assert best_position("K", clean_body("K", 56).replace("K", "!", 5)) == 56
    assert best_position("K", "") == 0


def test_masks_that_are_alike_correlate_and_empty_ones_say_nothing() -> None:
    assert mask_phi("!_!_", "!_!_") == pytest.approx(1.0)
    assert mask_phi("_" * 64, "!_") == 0.0
    assert mask_phi("", "") == 0.0
    assert mask_phi("!" * 32 + "_" * 32, "_" * 32 + "!" * 32) == pytest.approx(-1.0)
