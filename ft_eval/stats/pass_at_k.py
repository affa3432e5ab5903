"""pass@k from n draws of which c are right, without bias (Chen et al. 2021, arXiv 2107.03374, eq. 1). Numbers only."""

import numpy as np


def pass_at_k(n: int, c: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k): the chance that k of the n draws, taken without replacement, hold a right one.

    >>> pass_at_k(4, 1, 2)
    0.5

    Raises:
        ValueError: not 0 <= c <= n, or not 1 <= k <= n (more draws can't be guessed from fewer).
    """
    if not 0 <= c <= n:
        raise ValueError(f"expected 0 <= c <= n, got c = {c} right draws of n = {n}")
    if not 1 <= k <= n:
        raise ValueError(f"expected 1 <= k <= n, got k = {k} with n = {n} draws")
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))
