"""The training pass: encode, map to codes with a gradient, decode; the paper's loss. Knows no optimizer and no data.

    tokens ─▶ lower ─▶ X ─▶ encoder ─▶ Binary Mapper ─▶ Y + G − detach(G) ─▶ W ─▶ R
                        └──────────────────── upper ◀───────────────────────────────┘

Batches are full-length: the encoder looks both ways over all T tokens and knows no padding. The noise is the caller's.

    B rows    T tokens    V vocabulary    H latent bits
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ft_eval.model.config import ModelConfig
from ft_eval.model.latent import free_bits_penalty, kl_per_token_nats
from ft_eval.model.transformer import Transformer


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPass:
    """What one training pass gives."""

    logits: Tensor
    """(B, T, V): the scores at t are of token t + 1."""
    bit_logits: Tensor | None
    """(B, T, H); None for a baseline."""
    kl_nats: Tensor | None
    """KL_t from the uniform prior, (B, T); None for a baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLoss:
    """The loss and its two parts, scalars in nats per token."""

    total: Tensor
    cross_entropy: Tensor
    penalty: Tensor
    """The mean over tokens of max(0, KL_t − κ); zero for a baseline."""


def training_pass(model: Transformer, token_ids: Tensor, uniforms: Tensor | None = None) -> TrainingPass:
    """One forward pass with gradients.

    Args:
        model: either arm.
        token_ids: (B, T) int64, full-length.
        uniforms: independent numbers in [0, 1), (B, T, H); latent models only.

    Raises:
        ValueError: uniforms given to a baseline, or not given to a latent model.
    """
    if (uniforms is None) != (model.latent is None):
        raise ValueError("a latent model needs uniforms to draw its bits, and a baseline takes none")
    x = model.lower(token_ids)
    if model.latent is None or uniforms is None:
        return TrainingPass(logits=model.logits(model.upper(x)), bit_logits=None, kl_nats=None)
    bit_logits = model.encode(x)
    logits = model.logits(model.upper(x, residual=model.latent.draw(bit_logits, uniforms)))
    return TrainingPass(logits=logits, bit_logits=bit_logits, kl_nats=kl_per_token_nats(bit_logits))


def training_loss(result: TrainingPass, token_ids: Tensor, *, kappa_bits: float = 0.0) -> TrainingLoss:
    """Cross-entropy of each next token plus the free-bits penalty, weight 1.

    Args:
        result: of `training_pass` on the same tokens.
        token_ids: (B, T) int64.
        kappa_bits: κ, the bits per token that cost nothing; a baseline ignores it.
    """
    cross_entropy = F.cross_entropy(result.logits[:, :-1].flatten(0, 1).float(), token_ids[:, 1:].flatten())
    penalty = torch.zeros_like(cross_entropy)
    if result.kl_nats is not None:
        penalty = free_bits_penalty(result.kl_nats, kappa_bits)
    return TrainingLoss(total=cross_entropy + penalty, cross_entropy=cross_entropy, penalty=penalty)


def new_model(config: ModelConfig, *, seed: int, std: float = 0.02) -> Transformer:
    """An untrained model, the same for the same seed whatever else drew random numbers before.

    Matrices are normal with this deviation, those that write to the residual stream (o_proj, down_proj) smaller by
    sqrt(2 L) (GPT-2); norms are one, biases zero. The shared part comes first, so that a baseline and a latent model of
    one seed start from the same blocks.
    """
    with torch.device("meta"):
        model = Transformer(config)
    model.to_empty(device="cpu").tie_weights()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            _fill(parameter, name, std=std, depth=config.num_layers, generator=generator)
    return model


def _fill(parameter: Tensor, name: str, *, std: float, depth: int, generator: torch.Generator) -> None:
    if name.endswith("norm.weight"):
        parameter.fill_(1.0)
    elif name.endswith(".bias"):
        parameter.zero_()
    else:
        writes = name.endswith(("o_proj.weight", "down_proj.weight"))
        parameter.normal_(std=std / (2 * depth) ** 0.5 if writes else std, generator=generator)
