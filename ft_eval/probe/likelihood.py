"""What texts cost a latent model: bounds on log p(text) = log E_Z p(text | Z), Z from the prior as in generation.

    l_k    = log p(text | Z_k)                        w_k = l_k + log p(Z_k) − log q(Z_k | text),  Z_k ~ q
    ELBO   = mean_k l_k − KL(q ‖ prior)               IWAE_K = log (1/K) Σ_k exp(w_k)     (Burda et al. 2016)
    ELBO <= IWAE_K <= log p(text) in expectation      prior: log (1/K) Σ_k p(text | Z_k), Z_k ~ prior: a warning only

A baseline's value is exact. Sums are in float64. A cross-entropy under posterior codes alone is never given as a loss:
those codes have seen the text. Knows no file and no page.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.latent import kl_per_token_nats
from ft_eval.model.noise import NoiseKey
from ft_eval.probe.posterior import (
    draw_posterior_codes,
    draw_prior_codes,
    encode_whole_text_leaking_target,
    log_posterior,
)
from ft_eval.probe.records import Estimator, LikelihoodRow
from ft_eval.probe.texts import Window
from ft_eval.stats.monte_carlo import log_mean_exp

_MAX_LOGITS = 2**24
"""Logits held at once, in numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowDraws:
    """All that the bounds of one window are made of. K draws of each kind."""

    kl_nats: float
    """KL(q ‖ prior) over the window's Z."""
    posterior_nats: NDArray[np.float64]
    """log p(text | Z_k), Z_k from the posterior, (K,). Leaks the text: an ingredient, not a result."""
    log_weights: NDArray[np.float64]
    """w_k, (K,)."""
    prior_nats: NDArray[np.float64]
    """log p(text | Z_k), Z_k from the prior, (K,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPoint:
    """One bound on a sum of windows."""

    total_nats: float
    stderr_nats: float
    ess: float


def exact_nats(model: LatentModel, window: Window) -> float:
    """A baseline's log p of the window's scored tokens."""
    x = model.lower(torch.tensor([window.token_ids], device=model.device))
    return float(_scored_nats(model, x, None, window)[0])


def draw_window(model: LatentModel, window: Window, *, num_draws: int, seed: int) -> WindowDraws:
    """K posterior and K prior draws of a window, and what the text costs under each."""
    x, bit_logits = encode_whole_text_leaking_target(model, window.token_ids)
    num_positions, num_bits = bit_logits.shape
    key = _noise_key(window, seed)
    posterior = draw_posterior_codes(bit_logits, key, num_draws)
    prior = draw_prior_codes(key, num_draws, num_positions, 1 << num_bits).to(model.device)
    posterior_nats = nats_given_codes(model, x, posterior, window)
    log_prior = -num_positions * num_bits * math.log(2)
    return WindowDraws(
        kl_nats=float(kl_per_token_nats(bit_logits).sum()),
        posterior_nats=posterior_nats,
        log_weights=posterior_nats + log_prior - log_posterior(bit_logits, posterior).cpu().numpy(),
        prior_nats=nats_given_codes(model, x, prior, window),
    )


def nats_given_codes(model: LatentModel, x: Tensor, codes: Tensor, window: Window) -> NDArray[np.float64]:
    """Log p(scored tokens | given tokens, Z) for each Z, (N,) float64.

    Args:
        model: a latent model.
        x: X (1, T, D) of the window.
        codes: (N, T − 1) int64; the last token's Z touches nothing.
        window: T tokens.
    """
    step = max(1, _MAX_LOGITS // (max(1, window.num_scored) * model.config.vocab_size))
    parts = [_scored_nats(model, x, codes[start : start + step], window) for start in range(0, len(codes), step)]
    return torch.cat(parts).cpu().numpy()


def _scored_nats(model: LatentModel, x: Tensor, codes: Tensor | None, window: Window) -> Tensor:
    """Log p of the scored tokens, (N,) float64; the last token is predicted, never read."""
    x = x[:, :-1]
    residual = None if codes is None else model.post_sample(codes)
    hidden = model.upper(x if residual is None else x.expand(residual.shape[0], -1, -1), residual=residual)
    logits = model.logits(hidden[:, window.num_given - 1 :]).float()
    targets = torch.tensor(window.token_ids[window.num_given :], device=x.device).expand(logits.shape[0], -1)
    return torch.log_softmax(logits, -1).gather(-1, targets[..., None]).double().sum((-1, -2))


def elbo(draws: Sequence[WindowDraws]) -> BoundPoint:
    """The ELBO of all windows: the mean over the draws, less the KL, which is exact."""
    values = np.stack([window.posterior_nats for window in draws])
    kl = sum(window.kl_nats for window in draws)
    return BoundPoint(total_nats=float(values.mean(-1).sum() - kl), stderr_nats=_stderr_of_sum(values), ess=math.nan)


def log_mean_bound(values: NDArray[np.float64], num_draws: int) -> BoundPoint:
    """The K-draw bound of all windows, K = num_draws, averaged over the K_max // K disjoint groups of draws.

    Args:
        values: log weights, or log p(text | Z), (windows, K_max).
        num_draws: K, 1 to K_max.
    """
    num_windows, most = values.shape
    groups = most // num_draws
    estimate = log_mean_exp(values[:, : groups * num_draws].reshape(num_windows, groups, num_draws))
    by_window = estimate.value_nats
    stderr = _stderr_of_sum(by_window) if groups > 1 else float(np.sqrt(np.square(estimate.stderr_nats).sum()))
    return BoundPoint(total_nats=float(by_window.mean(-1).sum()), stderr_nats=stderr, ess=float(estimate.ess.mean()))


def _stderr_of_sum(values: NDArray[np.float64]) -> float:
    """Standard error of the sum over windows of the mean over draws; values (windows, draws)."""
    if values.shape[-1] == 1:
        return math.nan
    return float(np.sqrt((values.var(-1, ddof=1) / values.shape[-1]).sum()))


def powers_of_two(most: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to the largest power of two that is at most `most`."""
    return tuple(2**exponent for exponent in range(most.bit_length()))


def latent_rows(
    model: LatentModel, name: str, windows: Sequence[Window], *, num_draws: int, seed: int
) -> tuple[LikelihoodRow, ...]:
    """The ELBO, the importance-weighted bounds for K = 1, 2, 4, ... num_draws and the prior's, per group of texts.

    With more than one group, a group `all` comes first.
    """
    draws = [draw_window(model, window, num_draws=num_draws, seed=seed) for window in windows]
    return tuple(
        row
        for group, chosen in _groups(windows)
        for row in _latent_rows(name, group, [windows[i] for i in chosen], [draws[i] for i in chosen])
    )


def _latent_rows(
    name: str, group: str, windows: Sequence[Window], draws: Sequence[WindowDraws]
) -> Iterator[LikelihoodRow]:
    make = _row_maker(name, group, windows)
    weights = np.stack([window.log_weights for window in draws])
    prior = np.stack([window.prior_nats for window in draws])
    curve = powers_of_two(weights.shape[1])
    yield make(Estimator.ELBO, weights.shape[1], elbo(draws))
    for num_draws in curve:
        yield make(Estimator.IWAE, num_draws, log_mean_bound(weights, num_draws))
    yield make(Estimator.PRIOR, curve[-1], log_mean_bound(prior, curve[-1]))


def baseline_rows(model: LatentModel, name: str, windows: Sequence[Window]) -> tuple[LikelihoodRow, ...]:
    """A baseline's exact values on the same windows, per group of texts."""
    values = [exact_nats(model, window) for window in windows]
    rows = []
    for group, chosen in _groups(windows):
        point = BoundPoint(total_nats=sum(values[i] for i in chosen), stderr_nats=0.0, ess=math.nan)
        rows.append(_row_maker(name, group, [windows[i] for i in chosen])(Estimator.EXACT, 0, point))
    return tuple(rows)


def _groups(windows: Sequence[Window]) -> list[tuple[str, list[int]]]:
    """Each group's windows by index, after all of them where there are several groups."""
    by_group: dict[str, list[int]] = {}
    for index, window in enumerate(windows):
        by_group.setdefault(window.group, []).append(index)
    whole = [("all", list(range(len(windows))))] if len(by_group) > 1 else []
    return [*whole, *by_group.items()]


def _row_maker(
    name: str, group: str, windows: Sequence[Window]
) -> Callable[[Estimator, int, BoundPoint], LikelihoodRow]:
    num_tokens = sum(window.num_scored for window in windows)
    num_bytes = sum(window.num_bytes for window in windows)

    def make(estimator: Estimator, num_draws: int, point: BoundPoint) -> LikelihoodRow:
        return LikelihoodRow(
            model=name,
            group=group,
            estimator=estimator,
            num_draws=num_draws,
            total_nats=point.total_nats,
            stderr_nats=point.stderr_nats,
            num_tokens=num_tokens,
            num_bytes=num_bytes,
            bits_per_byte=-point.total_nats / math.log(2) / max(1, num_bytes),
            perplexity=_exp(-point.total_nats / max(1, num_tokens)),
            ess=point.ess,
        )

    return make


def _exp(nats: float) -> float:
    """exp, and inf where it is too large for a float."""
    return math.exp(nats) if nats < 700 else math.inf


def _noise_key(window: Window, seed: int) -> NoiseKey:
    """Of the window alone: two windows of one text differ in their tokens."""
    tokens = ",".join(map(str, window.token_ids))
    return NoiseKey(seed=seed, item=f"probe/{window.group}/{window.index}/{tokens}")
