"""The checkpoints of one training run, averaged over its last third: less of the accident of where it stopped.

The average is taken item by item, so that the items stay the units of every test after it. It says nothing about
another training with another seed. Numbers only.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ft_eval.stats.estimate import item_means


def last_third(training_tokens: ArrayLike) -> NDArray[np.intp]:
    """Which checkpoints lie after two thirds of the run, as positions in `training_tokens`, shape (C,).

    Raises:
        ValueError: no checkpoint, or tokens (or steps) that are not positive.
    """
    tokens = np.asarray(training_tokens, dtype=np.float64)
    if tokens.ndim != 1 or not tokens.size or not (tokens > 0.0).all():
        raise ValueError(f"expected the positive tokens or steps of at least one checkpoint, got {tokens.tolist()}")
    return np.flatnonzero(3.0 * tokens > 2.0 * tokens.max())


def last_third_scores(scores: ArrayLike, training_tokens: ArrayLike) -> NDArray[np.float64]:
    """Item scores averaged over the last third's checkpoints, shape (n,).

    Args:
        scores: (C, n), or (C, n, K) with draws, which are averaged too.
        training_tokens: tokens or steps of each checkpoint, (C,).

    Raises:
        ValueError: another shape, a score that is not finite, or see `last_third`.
    """
    values, tokens = np.asarray(scores, dtype=np.float64), np.asarray(training_tokens, dtype=np.float64)
    if values.ndim not in {2, 3} or len(values) != tokens.size:
        raise ValueError(f"expected scores of {tokens.size} checkpoints, (C, n) or (C, n, K), got {values.shape}")
    return item_means(np.stack([item_means(values[place]) for place in last_third(tokens)], axis=1))
