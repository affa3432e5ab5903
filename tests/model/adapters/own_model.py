"""A model of one's own behind the protocol: our small Transformer as if it were someone else's, whole and broken."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ft_eval.model.adapters.base import AdaptedModel, History
from ft_eval.model.checkpoint import load_model
from ft_eval.model.layers import NOTHING, AttentionPlan
from ft_eval.model.rope import Rotation
from ft_eval.model.training import new_model
from ft_eval.model.transformer import Transformer
from tests.model.tiny import BASELINE


class OwnModel(AdaptedModel):
    """The five functions of a model, and how it is loaded."""

    def __init__(self, inner: Transformer) -> None:
        super().__init__(inner.config)
        self.inner = inner

    @classmethod
    def load(cls, path: Path, *, dtype: torch.dtype, device: torch.device) -> "OwnModel":
        """Read the folder."""
        return cls(load_model(path, dtype=dtype, device=device))

    def whole_lower(self, token_ids: Tensor) -> Tensor:
        """X."""
        return self.inner.lower(token_ids)

    def whole_upper(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """Hidden states."""
        return self.inner.upper(x, residual=residual)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores."""
        return self.inner.logits(hidden)

    def encode(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """Bit logits."""
        return self.inner.encode(x, lengths=lengths)

    def post_sample(self, codes: Tensor) -> Tensor:
        """R."""
        return self.inner.post_sample(codes)


class WithoutPositions(OwnModel):
    """Its encoder doesn't turn queries and keys."""

    def encode(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """Bit logits, the same for every position."""
        latent = self.inner.latent
        assert latent is not None
        still = Rotation(torch.ones(1), torch.zeros(1))
        bit_logits: Tensor = latent.encoder(latent.zeta, x, AttentionPlan(rotation=still))
        return bit_logits


class InTheStream(OwnModel):
    """Its residual stream carries X + R."""

    def whole_upper(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """Hidden states."""
        return self.inner.upper(x if residual is None else x + residual)


class SeenByQueries(OwnModel):
    """Its middle block takes queries from X + R too, and takes R out of the stream again."""

    def whole_upper(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """Hidden states."""
        if residual is None:
            return self.inner.upper(x)
        positions = torch.arange(x.shape[1])[None]
        plan = AttentionPlan(rotation=self.inner._plans.rope(positions, x.dtype), is_causal=True)
        blocks: Any = self.inner.model.layers
        middle = blocks[self.config.middle]
        normed = middle.input_layernorm(x + residual)
        x = x + middle.self_attn(normed, normed, plan, NOTHING)
        x = x + middle.mlp(middle.post_attention_layernorm(x))
        for block in blocks[self.config.middle + 1 :]:
            x = block(x, plan)
        hidden: Tensor = self.inner.model.norm(x)
        return hidden


class ForgetfulHistory(History):
    """Moves a row without its residuals."""

    def move_row(self, src: int, dst: int, length: int) -> None:
        """Copy all but R."""
        self.token_ids[dst, :length] = self.token_ids[src, :length]
        self.x[dst, :length] = self.x[src, :length]


class Forgetful(OwnModel):
    """Its cache loses R when a row moves."""

    def new_cache(self, num_rows: int, max_length: int) -> ForgetfulHistory:
        """The broken cache."""
        return ForgetfulHistory(num_rows, max_length, self.config.hidden_size, next(self.parameters()))


class OneLate(OwnModel):
    """Its cache puts what comes in one position too late."""

    def lower(self, token_ids: Tensor, *, positions: Tensor | None = None, cache: Any = None) -> Tensor:
        """X."""
        late = None if positions is None else (positions + 1).clamp_max(cache.max_length - 1)
        return super().lower(token_ids, positions=late, cache=cache)


class LooksAhead(OwnModel):
    """Its R of a position is the next position's."""

    def whole_upper(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """Hidden states."""
        return self.inner.upper(x, residual=None if residual is None else residual.roll(-1, dims=1))


class KappaInNats(OwnModel):
    """Its config gives κ in nats where bits are meant."""

    def source_penalty(self, bit_logits: Tensor) -> Tensor:
        """What was minimised in training: half a nat is free."""
        p = torch.sigmoid(bit_logits)
        entropy = -(p * p.log() + (1 - p) * (1 - p).log())
        return (torch.log(torch.tensor(2.0)) - entropy).sum(-1).sub(0.5).clamp_min(0).mean()


class Incomplete:
    """Lacks most of what a model must have."""

    def lower(self, token_ids: Tensor) -> Tensor:
        """X."""
        return token_ids


class Untrained(OwnModel):
    """Has no files."""

    @classmethod
    def load(cls, path: Path, *, dtype: torch.dtype, device: torch.device) -> "Untrained":
        """Make one up."""
        assert path.is_dir()
        return cls(new_model(BASELINE, seed=0).to(device=device, dtype=dtype))
