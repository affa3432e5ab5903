"""The last third of a training run is averaged item by item."""

import numpy as np
import pytest

from ft_eval.stats import last_third, last_third_scores


def test_the_last_third_begins_after_two_thirds_of_the_tokens():
    assert last_third([100, 200, 300, 400, 500, 600]).tolist() == [4, 5]
    assert last_third([10, 20, 30]).tolist() == [2]


def test_the_order_of_checkpoints_and_their_spacing_do_not_matter():
    assert last_third([900, 1, 650, 599]).tolist() == [0, 2]


def test_the_final_checkpoint_is_always_in():
    assert last_third([7.0]).tolist() == [0]


def test_scores_are_averaged_item_by_item():
    scores = np.array([[9.0, 9.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    assert last_third_scores(scores, [1, 3.5, 4, 5]) == pytest.approx([2 / 3, 1 / 3])


def test_draws_are_averaged_too():
    scores = np.random.default_rng(0).random((4, 5, 3))
    found = last_third_scores(scores, [10, 20, 30, 40])
    assert found == pytest.approx(scores[2:].mean(axis=(0, 2)))


def test_checkpoints_without_tokens_or_scores_are_refused():
    with pytest.raises(ValueError, match="at least one checkpoint"):
        last_third([])
    with pytest.raises(ValueError, match="at least one checkpoint"):
        last_third([0, 10])
    with pytest.raises(ValueError, match="expected scores of 2 checkpoints"):
        last_third_scores(np.zeros((3, 5)), [1, 2])
