"""The target source's closed form is the truth: it sums to one, draws agree with it, and estimates lie below it."""

import itertools
import math
from collections import Counter
from pathlib import Path

import pytest

from ft_eval.probe.records import Estimator
from ft_eval.probe.truth import SOURCE, compare_with_truth, held_out_sequences, target_windows
from ft_eval.toy.corpora import target
from tests.fakes import tiny_model
from tests.probe.planted import subject


@pytest.fixture
def shrunken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source with 5 characters, a target of 2, and more noise."""
    for name, value in {"LENGTH": 5, "TARGET_LENGTH": 2, "NUM_POSITIONS": 4, "NOISE": 0.25}.items():
        monkeypatch.setattr(target, name, value)


def _bodies() -> list[str]:
    return ["".join(characters) for characters in itertools.product("_!K", repeat=5)]


def test_the_closed_form_sums_to_one_over_every_body(shrunken: None) -> None:
    assert sum(math.exp(target.log_likelihood_nats("K", body)) for body in _bodies()) == pytest.approx(1.0)


def test_draws_come_as_often_as_the_closed_form_says(shrunken: None) -> None:
    draws = [target.draw_sequence(0, index) for index in range(20_000)]
    counts = Counter(draw.body.replace(draw.letter, "K") for draw in draws)
    for body in _bodies():
        p = math.exp(target.log_likelihood_nats("K", body))
        assert abs(counts[body] / 20_000 - p) < 5 * math.sqrt(p * (1 - p) / 20_000) + 1e-12


def test_windows_give_the_prompt_and_score_the_64_characters(tmp_path: Path) -> None:
    (text,) = target_windows(subject(tmp_path, tiny_model()), held_out_sequences(1))
    assert text.num_given == 3
    assert text.num_scored == text.num_bytes == 64


def test_estimates_stand_below_the_truth_under_their_names(tmp_path: Path) -> None:
    latent = subject(tmp_path, tiny_model(num_bits=2, max_length=128), "z")
    baseline = subject(tmp_path, tiny_model(max_length=128), "base")
    rows = compare_with_truth(latent, baseline, num_draws=4, seed=0, num_sequences=6)
    assert [(row.model, row.estimator, row.num_draws) for row in rows] == [
        (SOURCE, Estimator.EXACT, 0),
        ("base", Estimator.EXACT, 0),
        ("z", Estimator.ELBO, 4),
        ("z", Estimator.IWAE, 1),
        ("z", Estimator.IWAE, 4),
        ("z", Estimator.PRIOR, 4),
    ]
    assert rows[0].gap_nats.mean == 0
    assert all(row.gap_nats.low > 0 for row in rows[1:]), "random models are far from the source"
    assert all(row.gap_nats.mean == pytest.approx(rows[0].nats_per_text - row.nats_per_text) for row in rows)
    assert all(row.stderr_nats > 0 for row in rows[2:])
