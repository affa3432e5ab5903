"""Linear layers and small models to pack, and how far a packed one is from the plain one."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn

from ft_eval.model.packed import can_pack
from ft_eval.model.packing import (
    pack_linears,
)
from tests.model.tiny import LATENT, random_codes, tiny_model

WIDE = replace(LATENT, num_layers=2, hidden_size=512, head_dim=128, intermediate_size=768)
"""Layers large enough that packing them is a gain."""
needs_packing = pytest.mark.skipif(not can_pack(torch.float32), reason="oneDNN packs no weights on this machine")
needs_bf16 = pytest.mark.skipif(not can_pack(torch.bfloat16), reason="oneDNN packs no bfloat16 on this machine")


def random_linear(out_features, in_features, *, dtype=torch.float32, bias=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    linear = nn.Linear(in_features, out_features, bias=bias, device="meta")
    weight = torch.randn(out_features, in_features, generator=generator) * in_features**-0.5
    linear.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    if bias:
        linear.bias = nn.Parameter(torch.randn(out_features, generator=generator).to(dtype), requires_grad=False)
    return linear


def random_rows(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7)).to(dtype)


def relative_error(got, expected):
    return float((got.double() - expected.double()).abs().max() / expected.double().abs().max())


def calm_model(config):
    """A tiny model whose layers don't amplify rounding: outputs of the size of their inputs."""
    model = tiny_model(config)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight.div_(module.weight.std() * module.in_features**0.5)
    return model


def packed_and_plain(config, *, dtype=torch.float32, options=None):
    plain = calm_model(config).to(dtype)
    packed = deepcopy(plain)
    return packed, plain, pack_linears(packed, options)


def logits(model, tokens):
    codes = random_codes(*tokens.shape) if model.config.latent else None
    with torch.inference_mode():
        return model.logits(model(tokens, codes=codes))
