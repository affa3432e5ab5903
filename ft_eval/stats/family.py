"""Several tests at once: which of them stand when all of them could have been chance. Numbers only.

    a primary family, declared before the run   Holm (1979): the chance of any false finding stays below 5 %
    many subjects, looked through               Benjamini & Hochberg (1995): 5 % of the findings are false, on average
    the best of several candidates              a family of all of them: to pick the largest of four is to test four

A test that could not be made (nan) stays nan and still counts: a family does not shrink after the fact.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p values, of the same shape; holds under any dependence between the tests.

    Raises:
        ValueError: a p value outside [0, 1].
    """
    flat, filled = _checked(p_values)
    order = np.argsort(filled, kind="stable")
    steps = filled[order] * np.arange(filled.size, 0, -1)
    return _placed(np.minimum(1.0, np.maximum.accumulate(steps)), order, flat)


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p values, of the same shape; for tests that are independent or positively dependent.

    Raises:
        ValueError: a p value outside [0, 1].
    """
    flat, filled = _checked(p_values)
    order = np.argsort(filled, kind="stable")
    steps = filled[order] * (filled.size / np.arange(1, filled.size + 1))
    return _placed(np.minimum(1.0, np.minimum.accumulate(steps[::-1])[::-1]), order, flat)


@dataclass(frozen=True, slots=True, kw_only=True)
class BestCandidate:
    """The candidate with the largest difference, such as one of several κ, and what its choice costs."""

    index: int
    difference: float
    """In the scores' unit. The largest of several estimates is too large on average: no correction is made here."""
    p_value: float
    """Its own, as if it had been the only candidate: not to be quoted."""
    p_adjusted: float
    """Holm's over all candidates."""
    num_candidates: int


def best_candidate(differences: ArrayLike, p_values: ArrayLike, *, higher_is_better: bool = True) -> BestCandidate:
    """Pick the best of the candidates, each of shape (C,), and adjust for the choice.

    Raises:
        ValueError: no candidate, shapes that differ, a difference that is not finite, a p value outside [0, 1].
    """
    values, raw = np.asarray(differences, dtype=np.float64), np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or values.shape != raw.shape or not values.size or not np.isfinite(values).all():
        raise ValueError(f"expected one finite difference and one p per candidate, got {values.shape} and {raw.shape}")
    index = int(np.argmax(values) if higher_is_better else np.argmin(values))
    return BestCandidate(
        index=index,
        difference=float(values[index]),
        p_value=float(raw[index]),
        p_adjusted=float(holm(raw)[index]),
        num_candidates=values.size,
    )


def _checked(p_values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The p values, and the same in one row with 1 for those that could not be had."""
    given = np.asarray(p_values, dtype=np.float64)
    if ((given < 0.0) | (given > 1.0)).any():
        raise ValueError(f"expected p values between 0 and 1, got {given.tolist()}")
    return given, np.where(np.isnan(given), 1.0, given).ravel()


def _placed(adjusted: NDArray[np.float64], order: NDArray[np.intp], given: NDArray[np.float64]) -> NDArray[np.float64]:
    result = np.empty(given.size)
    result[order] = adjusted
    return np.where(np.isnan(given), math.nan, result.reshape(given.shape))
