"""Tiny models for the tests of model/: any shape in milliseconds."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ft_eval.model.config import LatentConfig, ModelConfig
from ft_eval.model.training import new_model
from ft_eval.model.transformer import Transformer

BASELINE = ModelConfig(
    vocab_size=61,
    hidden_size=32,
    num_layers=4,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    intermediate_size=48,
    max_position_embeddings=128,
    bos_token_id=1,
    eos_token_ids=(2,),
)
LATENT = replace(BASELINE, latent=LatentConfig(num_bits=5, kappa_bits=0.5))


def tiny_model(config: ModelConfig = LATENT, *, seed: int = 0, **changes: Any) -> Transformer:
    """A random model whose activations are far from linear; biases and norms are random too."""
    model = new_model(replace(config, **changes), seed=seed, std=0.3).eval()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith((".bias", "norm.weight")):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.requires_grad_(requires_grad=False)


def random_tokens(num_rows: int, length: int, *, seed: int = 0, vocab_size: int = BASELINE.vocab_size) -> Tensor:
    """(num_rows, length) int64."""
    return torch.randint(vocab_size, (num_rows, length), generator=torch.Generator().manual_seed(seed))


def random_codes(num_rows: int, length: int, *, seed: int = 0, num_codes: int = 32) -> Tensor:
    """(num_rows, length) int64 in [0, num_codes)."""
    return torch.randint(num_codes, (num_rows, length), generator=torch.Generator().manual_seed(seed))
