"""Rotary position embedding (Su et al., 2021), in the rotate-half convention of the hub's Llama checkpoints.

    d  head dimension      pair (i, i + d/2) turns by position · frequency_i

Angles are computed in float32 whatever the model's type, as the models were trained. Knows no attention.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ft_eval.model.config import ModelConfig, RopeScaling


class Rotation(NamedTuple):
    """cos and sin of every angle, ready to broadcast over heads: (B or 1, 1, T, d) each."""

    cos: Tensor
    sin: Tensor


def _llama3_frequencies(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Llama 3.1's stretch: long wavelengths by the factor, short ones not at all, a linear blend between."""
    context = scaling.original_max_position_embeddings
    wavelengths = 2 * math.pi / frequencies
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    blend = ((context / wavelengths - low) / (high - low)).clamp(0.0, 1.0)
    return (1 - blend) * frequencies / scaling.factor + blend * frequencies


def rope_frequencies(config: ModelConfig) -> Tensor:
    """The frequencies in radians per position, (d/2,) float32 on the CPU."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device="cpu") / config.head_dim
    frequencies = 1.0 / (config.rope_theta**exponents)
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies
    if scaling.kind == "linear":
        return frequencies / scaling.factor
    return _llama3_frequencies(frequencies, scaling)


class Rope:
    """Makes rotations from positions. Not a module: its frequencies must stay float32 when a model is cast."""

    def __init__(self, config: ModelConfig) -> None:
        frequencies = rope_frequencies(config)
        self._frequencies = {frequencies.device: frequencies}

    def __call__(self, positions: Tensor, dtype: torch.dtype) -> Rotation:
        """Rotations for positions (B or 1, T)."""
        device = positions.device
        if device not in self._frequencies:
            self._frequencies[device] = self._frequencies[torch.device("cpu")].to(device)
        angles = positions[:, None, :, None].float() * self._frequencies[device]  # (B, 1, T, d/2)
        angles = torch.cat((angles, angles), dim=-1)
        return Rotation(angles.cos().to(dtype), angles.sin().to(dtype))


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn the pairs of x (B, heads, T, d) by the rotation's angles."""
    first, second = x.chunk(2, dim=-1)
    return x * rotation.cos + torch.cat((-second, first), dim=-1) * rotation.sin
