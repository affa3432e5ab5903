"""pass@k of a job's draws is the exact share of k-subsets that hold a right program, averaged over documents."""

from itertools import combinations

import pytest

from ft_eval.harness.pass_rates import pass_rates
from ft_eval.records import SampleResult


def samples(right: dict[int, list[float]], *, name: str = "pass@1", error: str | None = None) -> list[SampleResult]:
    return [
        SampleResult(
            job_id="j", doc_id=doc_id, draw=draw, doc_hash="", prompt_hash="", target_hash="", prompt="", target="",
            metrics={name: value}, error=error,
        )
        for doc_id, values in right.items()
        for draw, value in enumerate(values)
    ]  # fmt: skip


def by_hand(right: dict[int, list[float]], k: int) -> float:
    shares = [[any(chosen) for chosen in combinations(values, k)] for values in right.values()]
    return sum(sum(share) / len(share) for share in shares) / len(shares)


def test_it_is_the_share_of_subsets_with_a_right_program() -> None:
    right = {0: [1.0, 0.0, 0.0, 0.0], 1: [1.0, 1.0, 0.0, 0.0], 2: [0.0] * 4}
    rates = pass_rates(samples(right))
    assert rates.means == {f"pass@{k}": pytest.approx(by_hand(right, k)) for k in (2, 3, 4)}
    assert set(rates.stderrs) == set(rates.means)


def test_k_is_each_to_ten_then_a_few_and_the_number_of_draws() -> None:
    right = {0: [1.0] + [0.0] * 11, 1: [0.0] * 12}
    rates = pass_rates(samples(right, name="pass@1_base"))
    assert rates.means == {f"pass@{k}_base": pytest.approx(by_hand(right, k)) for k in (*range(2, 11), 12)}
    many = pass_rates(samples({0: [1.0] * 120}))
    assert list(many.means) == [f"pass@{k}" for k in (*range(2, 11), 20, 50, 100, 120)]


@pytest.mark.parametrize(
    "given",
    [samples({0: [1.0], 1: [0.0]}), samples({0: [1.0, 0.0]}, name="exact_match"), samples({0: [1.0, 1.0]}, error="no")],
)
def test_one_draw_another_metric_or_nothing_scored_has_none(given: list[SampleResult]) -> None:
    assert pass_rates(given).means == {}
