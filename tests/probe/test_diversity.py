"""pass@k and maj@k over draws, at equal generated tokens."""

from pathlib import Path

import numpy as np
import pytest

from ft_eval.probe.diversity import (
    Decoding,
    Drawn,
    affordable,
    diversity_rows,
    draw_completions,
    extract_answer,
    maj_at_k,
)
from ft_eval.probe.texts import ProbePrompt
from tests.fakes import tiny_model
from tests.probe.planted import deaf_model, loud_model, subject


def _decoding(num_draws: int, temperature: float = 0.0) -> Decoding:
    return Decoding(num_draws=num_draws, max_tokens=8, temperature=temperature, seed=0)


def _drawn(answers: list[list[str]], *, tokens: float = 10.0) -> Drawn:
    return Drawn(
        subject="x",
        decoding=_decoding(len(answers[0])),
        answers=tuple(map(tuple, answers)),
        right=("7",) * len(answers),
        tokens_per_completion=tokens,
        num_distinct=1.0,
    )


@pytest.mark.parametrize(
    ("completion", "answer"),
    [(" 3 + 4 = <<3+4=7>>7\n#### 7", "7"), ("#### 1\n#### -1,200.5", "-1200.5"), (" yes \n", "yes"), ("", "")],
)
def test_the_answer_is_the_last_marked_number_or_all_of_it(completion: str, answer: str) -> None:
    assert extract_answer(completion) == answer


def test_majority_is_exact_at_the_ends_and_ties_count_in_part() -> None:
    rng = np.random.default_rng(0)
    assert maj_at_k(["7", "8", "7", "9"], "7", 1, rng) == 0.5
    assert maj_at_k(["7", "8", "7", "9"], "7", 4, rng) == 1.0
    assert maj_at_k(["7", "8"], "7", 2, rng) == 0.5
    assert maj_at_k(["8", "8", "7"], "7", 3, rng) == 0.0


def test_majority_of_subsets_is_near_the_mean_over_all_of_them() -> None:
    answers = ["7"] * 6 + ["8"] * 4
    values = [maj_at_k(answers, "7", 2, np.random.default_rng(seed)) for seed in range(50)]
    # C(6,2)/C(10,2) both right, 24/45 tied at a half
    assert np.mean(values) == pytest.approx(15 / 45 + 24 / 45 / 2, abs=0.03)


def test_the_baseline_gets_the_completions_that_the_same_tokens_pay_for() -> None:
    latent, baseline = _drawn([["7"] * 4], tokens=20.0), _drawn([["8"] * 8], tokens=10.0)
    assert affordable(2, latent, baseline) == 4
    assert affordable(4, latent, _drawn([["8"] * 4], tokens=10.0)) == 4, "no more than were drawn"
    assert affordable(1, _drawn([["7"]], tokens=1.0), baseline) == 1


def test_rows_have_unbiased_pass_at_k_per_arm() -> None:
    rows = diversity_rows(_drawn([["7", "1", "2", "3"], ["4"] * 4]), _drawn([["7"] * 4] * 2), np.random.default_rng(0))
    latent = [row for row in rows if row.pass_at_k.mean < 1]
    assert [row.k for row in latent] == [1, 2, 4]
    assert [row.pass_at_k.mean for row in latent] == pytest.approx([0.125, 0.25, 0.5])
    assert len(rows) == 6


def test_draws_of_z_differ_where_z_is_heard_and_nowhere_else(tmp_path: Path) -> None:
    prompts = [ProbePrompt(prompt=f"{letter}:", answer="7") for letter in "abcd"]
    heard = draw_completions(subject(tmp_path, loud_model()), prompts, _decoding(4))
    deaf = draw_completions(subject(tmp_path, deaf_model()), prompts, _decoding(4))
    assert heard.num_distinct > 1
    assert deaf.num_distinct == 1
    sampled = draw_completions(subject(tmp_path, tiny_model()), prompts, _decoding(4, temperature=1.0))
    assert sampled.num_distinct > 1
