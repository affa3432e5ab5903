"""The truth of short texts: log p(text) as a sum over every Z, and how far the estimators are from it.

    log p(text) = log 2^{−H n} Σ_Z p(text | Z)        n = T − 1 positions whose Z touches a prediction, 2^{H n} terms

Z_t enters the keys and values from position t on, so nothing can be left out but the last token's. A check of the
estimators, not a measure of a model: it takes 2^{H n} passes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.probe.likelihood import nats_given_codes
from ft_eval.probe.posterior import encode_whole_text_leaking_target, log_posterior
from ft_eval.probe.texts import Window
from ft_eval.stats.estimate import normal_quantile
from ft_eval.stats.monte_carlo import log_mean_exp

MAX_TERMS = 2**18
"""Sums longer than this are refused."""
_TRIALS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumerationTable:
    """Every Z of one short text. N = 2^{H n} rows."""

    codes: NDArray[np.int64]
    """(N, n), the first position's code changing fastest."""
    logprobs_nats: NDArray[np.float64]
    """log p(text | Z), (N,)."""
    log_posterior_nats: NDArray[np.float64]
    """log q(Z | text), (N,); sums to 1 as probabilities."""
    num_bits: int
    """H."""

    @property
    def exact_nats(self) -> float:
        """Log p(text)."""
        return float(log_mean_exp(self.logprobs_nats).value_nats)

    @property
    def log_weights_nats(self) -> NDArray[np.float64]:
        """Log p(text | Z) + log p(Z) − log q(Z | text), (N,)."""
        weights: NDArray[np.float64] = self.logprobs_nats - np.log(len(self.codes)) - self.log_posterior_nats
        return weights

    @property
    def exact_elbo_nats(self) -> float:
        """E_q of the log weights."""
        return float((np.exp(self.log_posterior_nats) * self.log_weights_nats).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorCheck:
    """How an estimator of K draws does over many trials, held against the sum over all Z."""

    proposal: str
    """prior or posterior."""
    num_draws: int
    num_trials: int
    bias_nats: float
    """Mean estimate − truth."""
    bias_stderr_nats: float
    stderr_nats: float
    """The standard error that the estimator printed, on average."""
    spread_nats: float
    """The standard deviation that the estimates had."""
    coverage: float
    """Share of trials whose 95 % interval (1.96 standard errors) held the truth."""


def longest_enumerable(num_bits: int) -> int:
    """The most tokens T, the given one included, whose 2^{H (T − 1)} codes can be summed; at least 2."""
    return max(2, (MAX_TERMS.bit_length() - 1) // num_bits + 1)


@torch.inference_mode()
def enumerate_codes(model: LatentModel, window: Window) -> EnumerationTable:
    """Log p(text | Z) for every Z.

    Raises:
        ValueError: the model has no latent, or there are more than MAX_TERMS terms.
    """
    if model.config.latent is None:
        raise ValueError("a baseline has no Z to sum over")
    num_bits, num_positions = model.config.latent.num_bits, len(window.token_ids) - 1
    if num_bits * num_positions > MAX_TERMS.bit_length() - 1:
        raise ValueError(
            f"2^{num_bits * num_positions} terms; at most {longest_enumerable(num_bits)} tokens can be summed"
        )
    number = torch.arange(1 << (num_bits * num_positions), device=model.device)
    shifts = num_bits * torch.arange(num_positions, device=model.device)
    codes = (number[:, None] >> shifts) & ((1 << num_bits) - 1)
    x, bit_logits = encode_whole_text_leaking_target(model, window.token_ids)
    return EnumerationTable(
        codes=codes.cpu().numpy(),
        logprobs_nats=nats_given_codes(model, x, codes, window),
        log_posterior_nats=log_posterior(bit_logits, codes).cpu().numpy(),
        num_bits=num_bits,
    )


def check_estimator(
    table: EnumerationTable, rng: np.random.Generator, *, proposal: str, num_draws: int, num_trials: int
) -> EstimatorCheck:
    """Draw Z from the table num_trials times, K = num_draws each, and hold the log-mean-exps against the truth.

    Args:
        table: of one text.
        rng: where the trials come from.
        proposal: `prior` (uniform, weights p(text | Z)) or `posterior` (the encoder's, importance weights).
        num_draws: K.
        num_trials: at least 2.
    """
    values, cumulative = table.logprobs_nats, None
    if proposal == "posterior":
        values, cumulative = table.log_weights_nats, np.exp(table.log_posterior_nats).cumsum()
    estimates, errors = [], []
    for start in range(0, num_trials, _TRIALS_AT_ONCE):
        shape = (min(_TRIALS_AT_ONCE, num_trials - start), num_draws)
        if cumulative is None:
            chosen = rng.integers(len(values), size=shape)
        else:
            chosen = np.searchsorted(cumulative, rng.random(shape) * cumulative[-1], side="right")
        estimate = log_mean_exp(values[chosen])
        estimates.append(estimate.value_nats)
        errors.append(estimate.stderr_nats)
    return _summary(np.concatenate(estimates) - table.exact_nats, np.concatenate(errors), proposal, num_draws)


def _summary(
    deviations: NDArray[np.float64], errors: NDArray[np.float64], proposal: str, num_draws: int
) -> EstimatorCheck:
    num_trials = len(deviations)
    spread = float(deviations.std(ddof=1))
    return EstimatorCheck(
        proposal=proposal,
        num_draws=num_draws,
        num_trials=num_trials,
        bias_nats=float(deviations.mean()),
        bias_stderr_nats=spread / num_trials**0.5,
        stderr_nats=float(errors.mean()),
        spread_nats=spread,
        coverage=float((np.abs(deviations) < normal_quantile() * errors).mean()),
    )
