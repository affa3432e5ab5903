"""The paper's synthetic source: its form, what it can give, and its exact likelihood."""

import math
import random
import re
from collections import Counter

import pytest

from ft_eval.toy.corpora import target
from ft_eval.toy.corpora.target import agreement, clean_body, draw_sequence, is_well_formed, log_likelihood_nats


def test_every_draw_is_a_prompt_and_64_characters_the_source_allows() -> None:
    for index in range(300):
        sequence = draw_sequence(3, index)
        assert re.fullmatch(r"[A-Z]>[_!A-Z]{64}", sequence.text)
        assert is_well_formed(sequence.letter, sequence.body)
        assert set(sequence.body) <= {"_", "!", sequence.letter}


def test_a_draw_depends_on_seed_and_index_alone() -> None:
    assert draw_sequence(3, 7) == draw_sequence(3, 7)
    assert draw_sequence(3, 7) != draw_sequence(3, 8)
    assert draw_sequence(3, 7) != draw_sequence(4, 7)


def test_letters_positions_and_noise_have_the_papers_rates() -> None:
    draws = [draw_sequence(0, index) for index in range(4000)]
    assert len(Counter(draw.letter for draw in draws)) == 26
    positions = Counter(draw.position for draw in draws)
    assert set(positions) == set(range(57))
    # 4000 / 57 = 70 draws per position, standard deviation 8.3: five of them each way
    assert all(29 < number < 112 for number in positions.values())
    noise = sum(draw.body.count("!") for draw in draws) / (64 * len(draws))
    assert noise == pytest.approx(1 / 16, abs=5 * math.sqrt(15 / 256 / (64 * len(draws))))


def test_noise_may_hit_the_target_and_the_rest() -> None:
    assert is_well_formed("K", clean_body("K", 20).replace("K", "!", 3))
    assert is_well_formed("K", "!" * 64)


@pytest.mark.parametrize(
    "body",
    [
        "_" * 64,  # no target
        clean_body("J", 20),  # another letter
        clean_body("K", 20)[:-1],  # 63 characters
        clean_body("K", 20) + "_",  # 65
        "_" * 20 + "K" * 7 + "_" * 37,  # a run of 7
        "_" * 20 + "K" * 9 + "_" * 35,  # a run of 9
        "KKKKKKKK" + "_" * 40 + "KKKKKKKK" + "_" * 8,  # two targets
        "_" * 20 + "KKKK?KKK" + "_" * 36,  # a foreign character
        "",
    ],
)
def test_what_the_source_can_never_give_is_not_well_formed(body: str) -> None:
    assert not is_well_formed("K", body)
    assert agreement("K", body) < 1
    assert log_likelihood_nats("K", body) == -math.inf


def test_agreement_counts_the_characters_that_the_best_position_allows() -> None:
    assert agreement("K", "_" * 20 + "K" * 7 + "_" * 37) == 63 / 64
    assert agreement("K", "_" * 64) == 56 / 64
    assert agreement("K", clean_body("K", 3) + "___") == 64 / 67
    assert agreement("K", "") == 0


def test_the_likelihood_is_the_mean_over_the_positions_of_independent_noise() -> None:
    rng = random.Random(0)
    for _ in range(20):
        body = "".join("!" if rng.random() < 0.3 else c for c in clean_body("K", rng.randrange(57)))
        assert log_likelihood_nats("K", body) == pytest.approx(math.log(_slow_likelihood("K", body)))


def test_the_likelihood_of_pure_noise_has_all_57_positions_in_it() -> None:
    assert log_likelihood_nats("K", "!" * 64) == pytest.approx(64 * math.log(1 / 16))


def test_a_training_document_is_the_prompt_and_the_body_as_its_answer() -> None:
    sequence = draw_sequence(1, 5)
    assert target.training_parts(1, 5, 66) == ((sequence.prompt, False), (sequence.body, True))


def _slow_likelihood(letter: str, body: str) -> float:
    total = 0.0
    for position in range(57):
        chances = [
            (1 / 16 if got == "!" else 15 / 16) if got in ("!", clean) else 0.0
            for got, clean in zip(body, clean_body(letter, position), strict=True)
        ]
        total += math.prod(chances) / 57
    return total
