"""log E exp: a likelihood averaged over K draws of Z, its Monte Carlo error, and differences under common draws.

    log p̂ = log (1/K) Σ_k exp(l_k)        l_k = log p(y | x, Z_k), or log p(y, Z_k) − log q(Z_k) for a proposal q

All in float64, with the largest l_k taken out first. The estimate is below the truth on average (Jensen), by about half
its squared standard error: a bound, which K tightens. Knows no model and no task.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ft_eval.stats.estimate import normal_quantile

DELTA = "delta method"
JACKKNIFE = "jackknife, bias removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonteCarloEstimate:
    """Log-mean-exps over K draws, and how well each is known. The arrays have the logprobs' leading shape (...)."""

    value_nats: NDArray[np.float64]
    """-inf where every draw gives probability zero."""
    stderr_nats: NDArray[np.float64]
    """Standard error over the draws of Z alone; nan with one draw or where the value is -inf, inf where all hangs on
    one draw (jackknife)."""
    ess: NDArray[np.float64]
    """Effective sample size (Σ w)² / Σ w² (Kish 1965), 1 to K: how many draws carry the mean; 0 where none does."""
    num_draws: int
    """K."""
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MonteCarloDifference:
    """Differences of two log-mean-exps over the same K draws: what the draws share cancels in the error."""

    value_nats: NDArray[np.float64]
    """First minus second, each times its scale."""
    stderr_nats: NDArray[np.float64]
    """nan with one draw, or where a side is -inf."""
    num_draws: int

    @property
    def is_resolved(self) -> NDArray[np.bool_]:
        """Whether the difference is away from zero by 1.96 standard errors: its sign is not the draws' accident.

        One draw shows no error, so it resolves nothing. A side that every draw rules out is resolved.
        """
        beyond = np.abs(self.value_nats) > normal_quantile() * self.stderr_nats  # False where the error is nan
        resolved: NDArray[np.bool_] = (beyond | np.isinf(self.value_nats)) & (self.num_draws > 1)
        return resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class BestChoice:
    """Which of C choices is the likeliest, and whether other draws could say otherwise."""

    index: int
    """The first of the largest."""
    runner_up: int
    """The choice whose lead is the least sure: the smallest margin in standard errors."""
    margin: MonteCarloDifference
    """Best minus runner-up, 0-dimensional."""

    @property
    def is_resolved(self) -> bool:
        """False: the best choice may flip within the Monte Carlo error."""
        return bool(self.margin.is_resolved)


def log_mean_exp(logprobs: ArrayLike) -> MonteCarloEstimate:
    """Log-mean-exps over the last axis, with the delta method's standard error, std(w) / (mean(w) √K).

    Args:
        logprobs: (..., K) in nats, K >= 1; -inf for probability zero.

    Raises:
        ValueError: no draw, or a value that is nan or +inf.
    """
    values = _as_logprobs(logprobs)
    return _of_one_draw(values[..., 0]) if values.shape[-1] == 1 else _averaged(values)


def _averaged(values: NDArray[np.float64]) -> MonteCarloEstimate:
    num_draws = values.shape[-1]
    influence = _influence(values)
    with np.errstate(invalid="ignore"):
        relative = influence + 1.0  # w_k / mean(w)
        ess = num_draws**2 / np.square(relative).sum(-1)
    return MonteCarloEstimate(
        value_nats=_log_mean(values),
        stderr_nats=_standard_error(influence),
        ess=np.where(np.isnan(ess), 0.0, ess),
        num_draws=num_draws,
        method=DELTA,
    )


def _of_one_draw(values: NDArray[np.float64]) -> MonteCarloEstimate:
    """What `_averaged` makes of one draw, (...), in a tenth of its time: most requests have no more."""
    return MonteCarloEstimate(
        value_nats=np.asarray(values + 0.0),  # the mean's sum turns -0.0 into 0.0, too
        stderr_nats=np.full(values.shape, np.nan),
        ess=np.where(np.isneginf(values), 0.0, 1.0),
        num_draws=1,
        method=DELTA,
    )


def jackknife_log_mean_exp(logprobs: ArrayLike) -> MonteCarloEstimate:
    """The same from K leave-one-out values θ_k: K θ − (K − 1) mean θ_k, which takes the bias of order 1/K out.

    The standard error is √((K − 1)/K Σ (θ_k − mean)²) (Efron 1982). No longer a bound.

    Args:
        logprobs: (..., K) in nats, K >= 1.

    Raises:
        ValueError: see `log_mean_exp`.
    """
    values = _as_logprobs(logprobs)
    plain = log_mean_exp(values)
    if plain.num_draws == 1:
        return plain
    num_draws, left_out = plain.num_draws, _leave_one_out(values)
    with np.errstate(invalid="ignore"):
        corrected = num_draws * plain.value_nats - (num_draws - 1) * left_out.mean(-1)
        hangs_on_one = np.isneginf(left_out).any(-1) & ~np.isneginf(plain.value_nats)
    return MonteCarloEstimate(
        value_nats=np.where(np.isfinite(corrected), corrected, plain.value_nats),
        stderr_nats=np.where(hangs_on_one, np.inf, _jackknife_error(left_out)),
        ess=plain.ess,
        num_draws=num_draws,
        method=JACKKNIFE,
    )


def log_mean_exp_difference(
    first: ArrayLike, second: ArrayLike, *, scales: tuple[float, float] = (1.0, 1.0)
) -> MonteCarloDifference:
    """Differences a · log-mean-exp(first) − b · log-mean-exp(second); draw k of both has the same Z. Delta method.

    Args:
        first: (..., K) in nats.
        second: the same shape, or one that broadcasts to it.
        scales: a and b, such as 1 / characters for a score per character.

    Raises:
        ValueError: see `log_mean_exp`; or the numbers of draws differ.
    """
    one, two = _as_logprobs(first), _as_logprobs(second)
    if one.shape[-1] != two.shape[-1]:
        raise ValueError(f"a paired difference needs the same draws, got {one.shape[-1]} and {two.shape[-1]}")
    with np.errstate(invalid="ignore"):
        value = scales[0] * _log_mean(one) - scales[1] * _log_mean(two)
        influence = scales[0] * _influence(one) - scales[1] * _influence(two)
    return MonteCarloDifference(value_nats=value, stderr_nats=_standard_error(influence), num_draws=one.shape[-1])


def best_choice(logprobs: ArrayLike, *, scales: ArrayLike = 1.0) -> BestChoice:
    """The choice with the largest log-mean-exp, against the choice that is the most likely to overtake it.

    Args:
        logprobs: (C, K) in nats, C >= 2; draw k has the same Z for every choice.
        scales: what each choice's value is multiplied by, (C,), such as 1 / characters.

    Raises:
        ValueError: see `log_mean_exp`; or fewer than two choices.
    """
    values = _as_logprobs(logprobs)
    if values.ndim != 2 or len(values) < 2:
        raise ValueError(f"expected (choices, draws) with at least 2 choices, got shape {values.shape}")
    weights = np.broadcast_to(np.asarray(scales, dtype=np.float64), (len(values),))
    best = int(np.argmax(weights * _log_mean(values)))
    margins = {
        other: log_mean_exp_difference(
            values[best], values[other], scales=(float(weights[best]), float(weights[other]))
        )
        for other in range(len(values))
        if other != best
    }
    runner_up = min(margins, key=lambda other: _sureness(margins[other]))
    return BestChoice(index=best, runner_up=runner_up, margin=margins[runner_up])


def _sureness(margin: MonteCarloDifference) -> tuple[float, float]:
    """By the margin in standard errors; where there is no error to divide by, by the margin alone."""
    value, stderr = float(margin.value_nats), float(margin.stderr_nats)
    if np.isnan(value):
        return (-1.0, 0.0)  # both impossible
    if np.isnan(stderr):
        return (np.inf if np.isinf(value) else 0.0, value)
    return (value / stderr if stderr > 0 else np.inf, value)


def _as_logprobs(logprobs: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(logprobs, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"expected log probabilities of at least one draw, got shape {values.shape}")
    if np.isnan(values).any() or np.isposinf(values).any():
        raise ValueError("a log probability is nan or +inf")
    return values


def _scaled(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return top (...), finite even where all is -inf, and exp(values − top) (..., K), whose largest is 1."""
    top = values.max(-1)
    top = np.where(np.isneginf(top), 0.0, top)
    return top, np.exp(values - top[..., None])


def _log_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    top, weights = _scaled(values)
    with np.errstate(divide="ignore"):
        result: NDArray[np.float64] = np.asarray(top + np.log(weights.mean(-1)))
    return result


def _influence(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """w_k / mean(w) − 1, (..., K): what each draw adds to the log-mean, to first order; nan where all w are 0."""
    _, weights = _scaled(values)
    with np.errstate(invalid="ignore"):
        result: NDArray[np.float64] = weights / weights.mean(-1, keepdims=True) - 1.0
    return result


def _standard_error(influence: NDArray[np.float64]) -> NDArray[np.float64]:
    num_draws = influence.shape[-1]
    if num_draws == 1:
        return np.full(influence.shape[:-1], np.nan)
    with np.errstate(invalid="ignore"):
        return np.asarray(influence.std(-1, ddof=1) / np.sqrt(num_draws))


def _leave_one_out(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """θ_k, (..., K): the log-mean-exp without draw k. Only the largest draw's is summed anew: no others cancel."""
    num_draws = values.shape[-1]
    top, weights = _scaled(values)
    largest = values.argmax(-1)[..., None]
    sums = weights.sum(-1, keepdims=True) - weights
    others = values.copy()
    np.put_along_axis(others, largest, -np.inf, axis=-1)
    without_largest = _log_mean(others) + np.log(num_draws / (num_draws - 1))
    with np.errstate(divide="ignore"):
        result: NDArray[np.float64] = top[..., None] + np.log(np.maximum(sums, 0.0) / (num_draws - 1))
    np.put_along_axis(result, largest, without_largest[..., None], axis=-1)
    return result


def _jackknife_error(left_out: NDArray[np.float64]) -> NDArray[np.float64]:
    num_draws = left_out.shape[-1]
    with np.errstate(invalid="ignore"):
        spread = np.square(left_out - left_out.mean(-1, keepdims=True)).sum(-1)
        return np.asarray(np.sqrt((num_draws - 1) / num_draws * spread))
