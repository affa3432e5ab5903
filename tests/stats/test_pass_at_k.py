"""pass@k is the unbiased estimator, equal to counting every choice of k draws."""

from itertools import combinations

import pytest

from ft_eval.stats import pass_at_k


@pytest.mark.parametrize("n", [1, 4, 7])
def test_pass_at_k_counts_every_choice_of_k_draws(n):
    for c in range(n + 1):
        draws = [1] * c + [0] * (n - c)
        for k in range(1, n + 1):
            choices = list(combinations(draws, k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(any(choice) for choice in choices) / len(choices), abs=1e-12)


def test_pass_at_1_is_the_mean():
    assert pass_at_k(200, 37, 1) == pytest.approx(37 / 200, abs=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 1, 5), (4, 5, 1), (4, -1, 1), (4, 1, 0), (0, 0, 1)])
def test_more_draws_than_there_are_is_refused(n, c, k):
    with pytest.raises(ValueError, match="expected"):
        pass_at_k(n, c, k)
