"""The sign-flip test: where neither model is better, each item's difference could as well have the other sign.

    S = Σ d_i against Σ ±d_i over all 2^m sign patterns of the m differences that are not 0

It assumes no shape of the scores, only that flipping an item's (or a cluster's) sign leaves the distribution as it is.
For differences of 0/1 scores it is McNemar's exact test. Numbers only.

    differences are multiples of a step   exact for any m: the distribution of the integer sum is the inverse Fourier
                                          transform of its characteristic function Π cos(d_i t)
    m <= 20                               exact: all sums are written out
    else                                  random patterns from a seed, p = (b + 1) / (flips + 1) (Phipson & Smyth 2010)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from ft_eval.stats.estimate import as_scores

MAX_ENUMERATED = 20
"""Differences whose 2^m sums are written out, 8 MB."""
MAX_LATTICE = 4_000_000
"""The largest sum of absolute differences, in steps, whose distribution is transformed."""
_CHUNK = 256
_TIE = 1e-9
"""Relative to the sum of absolute differences: two sums that differ by less are the same sum, rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignFlipTest:
    """Two-sided p values of the sum of differences."""

    p_value: float
    """Sums at least as far from 0 as the observed one; 1 where no difference is left. Exact ones are good to 1e-13."""
    p_mid: float
    """With sums just as far from 0 counted half, and 1 where the observed sum is 0: McNemar's mid-p for 0/1 scores."""
    is_exact: bool
    num_flips: int | None
    """Random patterns; None where the test is exact."""
    method: str


def sign_flip_test(
    differences: ArrayLike, *, step: float | None = None, num_flips: int = 9_999, seed: int = 0
) -> SignFlipTest:
    """Test whether the differences, shape (n,), sum to 0 but for chance.

    Args:
        differences: one number per independent unit: an item, or a cluster's sum.
        step: all differences are whole multiples of it, such as 1 / K for K draws of 0/1 scores; None where unknown.
        num_flips: random patterns where an exact test is out of reach.
        seed: of the random patterns.

    Raises:
        ValueError: see `as_scores`; a difference that is no multiple of `step`; num_flips < 1.
    """
    if num_flips < 1:
        raise ValueError(f"expected num_flips >= 1, got {num_flips}")
    values = as_scores(differences)
    whole = None if step is None else _whole_steps(values, step)
    values = values[values != 0.0]
    if whole is not None and np.abs(whole).sum() <= MAX_LATTICE:
        return _lattice_test(np.abs(whole), int(whole.sum()))
    if values.size <= MAX_ENUMERATED:
        return _tail_test(_all_sums(values), values, "sign flips, all patterns")
    return _monte_carlo_test(values, num_flips, seed)


def _whole_steps(values: NDArray[np.float64], step: float) -> NDArray[np.int64]:
    whole = np.rint(values / step)
    if np.abs(values / step - whole).max(initial=0.0) > 1e-6:
        raise ValueError(f"a difference is no multiple of {step}")
    return whole.astype(np.int64)


def _lattice_test(sizes: NDArray[np.int64], observed: int) -> SignFlipTest:
    chances = lattice_distribution(sizes)
    middle, far = len(chances) // 2, abs(observed)
    beyond = float(chances[middle + far + 1 :].sum() * 2.0)
    at = float(chances[middle + far] * (2.0 if far else 1.0))
    return SignFlipTest(
        p_value=min(1.0, beyond + at),
        p_mid=min(1.0, beyond + at / 2.0 if far else 1.0),
        is_exact=True,
        num_flips=None,
        method="sign flips, exact distribution",
    )


def lattice_distribution(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The chance of every sum −T … T of Σ ±sizes under random signs, T = Σ sizes; shape (2 T + 1,)."""
    magnitudes, times = np.unique(sizes[sizes > 0], return_counts=True)
    total = int(sizes.sum())
    length = 2 * int(fft.next_fast_len(total + 1))
    angles = 2.0 * np.pi * np.arange(length // 2 + 1) / length
    characteristic = np.ones(length // 2 + 1)
    for magnitude, count in zip(magnitudes, times, strict=True):
        characteristic *= np.cos(magnitude * angles) ** count
    chances = np.maximum(np.fft.irfft(characteristic, length), 0.0)
    return np.asarray(np.concatenate([chances[length - total :], chances[: total + 1]]), dtype=np.float64)


def _all_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _tail_test(sums: NDArray[np.float64], values: NDArray[np.float64], method: str) -> SignFlipTest:
    beyond, at = _num_beyond(sums, values)
    num = len(sums)
    p_mid = 1.0 if _is_balanced(values) else (beyond + at / 2) / num
    return SignFlipTest(p_value=(beyond + at) / num, p_mid=p_mid, is_exact=True, num_flips=None, method=method)


def _num_beyond(sums: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[int, int]:
    """How many sums are farther from 0 than the observed one, and how many are as far."""
    tie = _tie(values)
    excess = np.abs(sums) - abs(values.sum())
    return int(np.count_nonzero(excess > tie)), int(np.count_nonzero(np.abs(excess) <= tie))


def _is_balanced(values: NDArray[np.float64]) -> bool:
    """Whether the observed sum is 0 but for rounding."""
    return bool(abs(values.sum()) <= _tie(values))


def _tie(values: NDArray[np.float64]) -> float:
    return float(_TIE * np.abs(values).sum())


def _monte_carlo_test(values: NDArray[np.float64], num_flips: int, seed: int) -> SignFlipTest:
    rng, beyond, at = np.random.default_rng(seed), 0, 0
    for start in range(0, num_flips, _CHUNK):
        farther, as_far = _num_beyond(_random_sums(values, min(_CHUNK, num_flips - start), rng), values)
        beyond, at = beyond + farther, at + as_far
    return SignFlipTest(
        p_value=(beyond + at + 1) / (num_flips + 1),
        p_mid=1.0 if _is_balanced(values) else (beyond + at / 2 + 1) / (num_flips + 1),
        is_exact=False,
        num_flips=num_flips,
        method=f"sign flips, {num_flips:,} random patterns, seed {seed}",
    )


def _random_sums(values: NDArray[np.float64], num: int, rng: np.random.Generator) -> NDArray[np.float64]:
    num_bytes = -(-values.size // 8)
    random_bytes = np.frombuffer(rng.bytes(num * num_bytes), dtype=np.uint8).reshape(num, num_bytes)
    signs = np.unpackbits(random_bytes, axis=1, count=values.size).astype(np.float64)
    return np.asarray(2.0 * (signs @ values) - values.sum())
