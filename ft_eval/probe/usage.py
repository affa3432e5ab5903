"""Is Z used, and how: KL from the prior per token, position and bit, information, persistence; the collapse alarm.

Over the posterior of whole texts, or over that of prompts alone, which sees no answer. KL alone does not tell: free
bits cost nothing up to κ, so a dead encoder drifts to the same lopsided bits for every text, with a KL near κ and no
information. Knows no page.

    p_{t,h} = q(B_{t,h} = 1 | text)                        KL_{t,h} = 1 − Hb(p_{t,h}) bits
    information_{t,h} = Hb(mean over texts of p_{t,h}) − mean over texts of Hb(p_{t,h})
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.probe.posterior import encode_whole_text_leaking_target
from ft_eval.probe.records import BitUsage, LatentUsage
from ft_eval.probe.texts import Window
from ft_eval.records import PromptUsage
from ft_eval.report.latent import COLLAPSED_BITS, question_kappa

__all__ = [
    "ACTIVE_BITS",
    "MAX_PROMPTS",
    "binary_entropy_bits",
    "measure_prompts",
    "measure_usage",
    "question_kappa",
    "usage_of",
]

ACTIVE_BITS = COLLAPSED_BITS
"""A bit with this information per token is active; a latent with less in all is collapsed. In bits."""
NUM_POSITIONS_SHOWN = 64
MAX_PROMPTS = 32
_MAX_PROMPT_TOKENS = 64


def measure_usage(model: LatentModel, windows: Sequence[Window]) -> tuple[LatentUsage, ...]:
    """Usage over all windows, then group by group where there are several. Windows of one token are left out."""
    long_enough = [window for window in windows if len(window.token_ids) > 1]
    ones = [_posterior_ones(model, window) for window in long_enough]
    groups = list(dict.fromkeys(window.group for window in long_enough))
    chosen = [(group, [i for i, window in enumerate(long_enough) if window.group == group]) for group in groups]
    if len(groups) > 1:
        chosen.insert(0, ("all", list(range(len(long_enough)))))
    return tuple(
        usage_of(
            group,
            [ones[i] for i in indices],
            num_texts=len({(long_enough[i].group, long_enough[i].index) for i in indices}),
        )
        for group, indices in chosen
    )


@torch.inference_mode()
def measure_prompts(model: LatentModel, prompts: Sequence[Sequence[int]]) -> PromptUsage | None:
    """What the encoder says about the first 32 different prompts, each encoded whole and alone as the posterior policy.

    Few-shot prompts begin alike, so they are held against each other from their ends: position 0 is a prompt's last
    token, and its last 64 count.

    Returns:
        None where it can't be measured: a baseline, a model whose `encode` raises NotImplementedError, or fewer than
        two different prompts, which say nothing of what differs.
    """
    different = list(dict.fromkeys(tuple(prompt) for prompt in prompts))[:MAX_PROMPTS]
    if model.config.latent is None or len(different) < 2:
        return None
    try:
        ones = [_prompt_ones(model, prompt) for prompt in different]
    except NotImplementedError:
        return None
    usage = usage_of("prompts", ones, num_texts=len(ones))
    return PromptUsage(
        kl_bits=usage.kl_bits,
        information_bits=usage.information_bits,
        num_tokens=usage.num_tokens,
        num_prompts=usage.num_texts,
    )


def _prompt_ones(model: LatentModel, prompt: Sequence[int]) -> NDArray[np.float64]:
    """p_{t,h} of a prompt's last 64 tokens, the last one first, (T, H)."""
    x = model.lower(torch.tensor([list(prompt)], device=model.device))
    ones = torch.sigmoid(model.encode(x)[0].double()).cpu().numpy()
    return ones[::-1][:_MAX_PROMPT_TOKENS]


def _posterior_ones(model: LatentModel, window: Window) -> NDArray[np.float64]:
    """p_{t,h}, (T − 1, H)."""
    _, bit_logits = encode_whole_text_leaking_target(model, window.token_ids)
    return torch.sigmoid(bit_logits).cpu().numpy()


def usage_of(group: str, ones: Sequence[NDArray[np.float64]], *, num_texts: int) -> LatentUsage:
    """Usage from the bits' probabilities.

    Args:
        group: its name.
        ones: p_{t,h} of each window, (T, H) each.
        num_texts: texts behind the windows.
    """
    tokens = np.concatenate(ones)  # (tokens, H)
    kl = 1.0 - binary_entropy_bits(tokens)
    bits = tuple(_bit_usage([window[:, bit] for window in ones]) for bit in range(tokens.shape[1]))
    information = sum(bit.information_bits for bit in bits)
    return LatentUsage(
        group=group,
        num_texts=num_texts,
        num_tokens=len(tokens),
        kl_bits=float(kl.sum(-1).mean()),
        information_bits=information,
        kl_bits_by_position=_by_position([1.0 - binary_entropy_bits(window) for window in ones]),
        bits=bits,
        num_active_bits=sum(bit.is_active for bit in bits),
        is_collapsed=information < ACTIVE_BITS,
    )


def _by_position(kl: Sequence[NDArray[np.float64]]) -> tuple[float, ...]:
    longest = min(NUM_POSITIONS_SHOWN, max(len(window) for window in kl))
    return tuple(
        float(np.mean([window[position].sum() for window in kl if len(window) > position]))
        for position in range(longest)
    )


def _bit_usage(ones: Sequence[NDArray[np.float64]]) -> BitUsage:
    """One bit's usage from p_t of each window, (T,) each."""
    tokens = np.concatenate(ones)
    entropy = float(binary_entropy_bits(tokens).mean())
    often = float(tokens.mean())
    same = np.concatenate([p[:-1] * p[1:] + (1 - p[:-1]) * (1 - p[1:]) for p in ones])
    information = _information(ones)
    return BitUsage(
        kl_bits=1.0 - entropy,
        information_bits=information,
        persistence=float(same.mean()) if same.size else math.nan,
        persistence_by_chance=often**2 + (1 - often) ** 2,
        is_active=information >= ACTIVE_BITS,
    )


def _information(ones: Sequence[NDArray[np.float64]]) -> float:
    """Mean over positions of Hb(mean p_t) − mean Hb(p_t), in bits; positions count as often as texts reach them.

    A position that a single text reaches says nothing and is left out; with one text alone, its tokens stand for texts.
    """
    if len(ones) == 1:
        ones = list(ones[0][:, None])
    gained, num_tokens = 0.0, 0
    for position in range(max(map(len, ones))):
        p = np.array([window[position] for window in ones if len(window) > position])
        if len(p) > 1:
            gained += len(p) * float(binary_entropy_bits(p.mean()) - binary_entropy_bits(p).mean())
            num_tokens += len(p)
    return max(0.0, gained / num_tokens) if num_tokens else 0.0


def binary_entropy_bits(p: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    """Hb(p) in bits, the same shape; 0 at 0 and 1."""
    inside = np.clip(p, 1e-300, 1.0)
    outside = np.clip(1.0 - p, 1e-300, 1.0)
    entropy: NDArray[np.float64] = -(p * np.log2(inside) + (1 - p) * np.log2(outside))
    return entropy
