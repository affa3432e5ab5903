"""The latent Z of the Free Transformer (Fleuret, 2025, arXiv 2510.17558): encoder, Binary Mapper, post-sampler, KL.

    B rows    T tokens    D hidden size    H latent bits    d a code in [0, 2^H)
    L_{t,h} bit logits    B_{t,h} bits     Y one-hot of d   G probability of every d    R = W Y

    X ─▶ encoder ─▶ L (B, T, H) ─▶ Binary Mapper ─▶ d (B, T) ─▶ post-sampler W ─▶ R (B, T, D)

Knows no tokens and no random generator: noise comes in as numbers, and whether Z is the prior's or the encoder's is
the caller's choice.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ft_eval.model.config import LatentConfig, ModelConfig
from ft_eval.model.layers import AttentionPlan, Block, RMSNorm, normal

NO_CODE = -1
"""The code of a position whose R is zero."""


def bit_probabilities(bit_logits: Tensor) -> Tensor:
    """P(B_{t,h} = 1) = sigmoid(L_{t,h}), same shape (Eq. 6)."""
    return torch.sigmoid(bit_logits)


def kl_per_bit_nats(bit_logits: Tensor) -> Tensor:
    """KL from the uniform prior per bit, log 2 − Hb(p) in nats, same shape as the logits (B, T, H); 0 to log 2."""
    p = torch.sigmoid(bit_logits)
    negative_entropy = p * F.logsigmoid(bit_logits) + (1 - p) * F.logsigmoid(-bit_logits)
    return math.log(2) + negative_entropy


def kl_per_token_nats(bit_logits: Tensor) -> Tensor:
    """KL_t = Σ_h (log 2 − Hb(p_{t,h})) in nats: (B, T, H) to (B, T); 0 to H log 2."""
    return kl_per_bit_nats(bit_logits).sum(-1)


def free_bits_penalty(kl_nats: Tensor, kappa_bits: float) -> Tensor:
    """The mean over tokens of max(0, KL_t − κ), a scalar in nats. κ comes in bits, as the paper names it."""
    return (kl_nats - kappa_bits * math.log(2)).clamp_min(0).mean()


def codes_from_bits(bits: Tensor) -> Tensor:
    """Codes d = Σ_h 2^{h-1} B_h, (...) int64, of bits (..., H); the first bit is the lowest (Eq. 7)."""
    weights = 1 << torch.arange(bits.shape[-1], device=bits.device)
    return (bits.long() * weights).sum(-1)


def bits_from_codes(codes: Tensor, num_bits: int) -> Tensor:
    """U_h(d): codes (...) int64 to bits (..., H) bool; the inverse of `codes_from_bits`."""
    return ((codes[..., None] >> torch.arange(num_bits, device=codes.device)) & 1).bool()


class BinaryMapper(nn.Module):
    """From bit logits to codes, with a gradient that passes the sampling by (Eq. 6 to 8). Has no weights."""

    def __init__(self, num_bits: int) -> None:
        super().__init__()
        self.num_bits = num_bits

    def sample(self, bit_logits: Tensor, uniforms: Tensor) -> Tensor:
        """Codes (B, T) int64, drawn bit by bit: bit h is 1 where its uniform number is below its probability.

        Args:
            bit_logits: (B, T, H).
            uniforms: independent numbers in [0, 1), (B, T, H).
        """
        return codes_from_bits(uniforms < bit_probabilities(bit_logits))

    def code_probabilities(self, bit_logits: Tensor) -> Tensor:
        """G_{t,d} = Π_h P(B_{t,h} = U_h(d)) over all 2^H codes d: (B, T, H) to (B, T, 2^H) (Eq. 8)."""
        codes = torch.arange(1 << self.num_bits, device=bit_logits.device)
        ones = bits_from_codes(codes, self.num_bits).to(bit_logits.dtype).T  # (H, 2^H)
        logs = F.logsigmoid(bit_logits) @ ones + F.logsigmoid(-bit_logits) @ (1 - ones)
        return logs.exp()

    def forward(self, bit_logits: Tensor, uniforms: Tensor) -> Tensor:
        """Y + G − detach(G), (B, T, 2^H): a one-hot in value, with G's gradient."""
        codes = self.sample(bit_logits, uniforms)
        G = self.code_probabilities(bit_logits)
        Y = F.one_hot(codes, 1 << self.num_bits).to(G.dtype)
        return Y + (G - G.detach())  # the bracket is exactly zero


class PostSampler(nn.Module):
    """R = W Z: a table with one row of D numbers per code."""

    def __init__(self, num_codes: int, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(num_codes, hidden_size, std=0.02))  # (2^H, D)

    def forward(self, codes: Tensor) -> Tensor:
        """R (B, T, D) for codes (B, T) in [0, 2^H), and zero where a code is NO_CODE."""
        R = F.embedding(codes.clamp_min(0), self.weight)
        return R.masked_fill((codes == NO_CODE)[..., None], 0.0)


class Encoder(nn.Module):
    """One non-causal block over X, then a norm and a readout to H bit logits per token.

    Its queries are one learned vector ζ repeated over the positions. RoPE tells them apart: without it every token
    would get the same logits.
    """

    def __init__(self, config: ModelConfig, latent: LatentConfig) -> None:
        super().__init__()
        self.block = Block(config)
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.readout = nn.Linear(config.hidden_size, latent.num_bits, bias=latent.readout_bias)

    def forward(self, zeta: Tensor, x: Tensor, plan: AttentionPlan) -> Tensor:
        """Bit logits (B, T, H) from ζ (D,) and X (B, T, D)."""
        hidden = self.block(zeta.expand_as(x), plan, kv_input=x)
        bit_logits: Tensor = self.readout(self.norm(hidden))
        return bit_logits


class Latent(nn.Module):
    """All that a latent model has and its baseline has not: ζ, the encoder and the post-sampler."""

    def __init__(self, config: ModelConfig, latent: LatentConfig) -> None:
        super().__init__()
        self.zeta = nn.Parameter(normal(config.hidden_size, std=0.02))  # ζ (D,)
        self.encoder = Encoder(config, latent)
        self.mapper = BinaryMapper(latent.num_bits)
        self.post_sampler = PostSampler(latent.num_codes, config.hidden_size)

    def draw(self, bit_logits: Tensor, uniforms: Tensor) -> Tensor:
        """R = W (Y + G − detach(G)), (B, T, D), for training: drawn codes' rows, with a gradient to the bit logits.

        Y is gathered and the bracket, which is zero, leaves W alone: the values and gradients of the full product
        with the one-hot at two thirds of its cost.
        """
        R: Tensor = self.post_sampler(self.mapper.sample(bit_logits, uniforms))
        G = self.mapper.code_probabilities(bit_logits)
        return R + (G - G.detach()) @ self.post_sampler.weight.detach()
