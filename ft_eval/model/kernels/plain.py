"""The fused operators in plain PyTorch: what they mean, on any device. The kernels are held to these.

B rows    T tokens    D hidden size    N query heads    G key-value heads    S cache positions    d head dimension
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ft_eval.model.latent import NO_CODE
from ft_eval.model.noise import Stream, philox
from ft_eval.model.plans import additive
from ft_eval.model.rope import Rotation, rotate


def add_rms_norm(x: Tensor, y: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The sum x + y and its RMSNorm, (..., D) each."""
    total = x + y
    return total, F.rms_norm(total, weight.shape, weight, eps)


def free_dual_norm(x: Tensor, codes: Tensor, table: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """RMSNorm of x and of x + R, (..., D) each: R is the table's row per code (...), zero where a code is -1."""
    R = F.embedding(codes.clamp_min(0), table).masked_fill((codes == NO_CODE)[..., None], 0.0)
    return F.rms_norm(x, weight.shape, weight, eps), F.rms_norm(x + R, weight.shape, weight, eps)


def silu_mul(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) · up."""
    return F.silu(gate) * up


def rope_kv_write(  # noqa: PLR0913, PLR0917 — the operator's signature, which torch's schemas have no struct for
    q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, indices: Tensor, keys: Tensor, values: Tensor
) -> Tensor:
    """Queries turned, (B, N, T, d); keys, turned, and values written to the caches.

    Args:
        q: (B, T, N, d).
        k: (B, T, G, d).
        v: (B, T, G, d).
        cos: (B or 1, 1, T, d).
        sin: (B or 1, 1, T, d).
        indices: where the tokens go, (B, T) int64.
        keys: (B, G, S, d), written to.
        values: (B, G, S, d), written to.
    """
    rotation = Rotation(cos, sin)
    rows = torch.arange(k.shape[0], device=k.device)[:, None]
    keys[rows, :, indices] = rotate(k.transpose(1, 2), rotation).transpose(1, 2)
    values[rows, :, indices] = v
    return rotate(q.transpose(1, 2), rotation).contiguous()


def merge_lse(far: Tensor, far_lse: Tensor, near: Tensor, near_lse: Tensor) -> Tensor:
    """Two parts of one attention (..., d) by their log-sum-exp (...), fp32; zero where both parts are empty."""
    share = torch.sigmoid(near_lse - far_lse)
    empty = float("-inf")
    share = share.masked_fill(far_lse == empty, 1.0).masked_fill(near_lse == empty, 0.0)[..., None]
    # a part over no keys may hold anything
    far_part = far.float().masked_fill((far_lse == empty)[..., None], 0.0)
    near_part = near.float().masked_fill((near_lse == empty)[..., None], 0.0)
    return torch.lerp(far_part, near_part, share).to(far.dtype)


def philox_codes(keys: Tensor, draws: Tensor, first: int, count: int, num_bits: int) -> Tensor:
    """Z of each row at positions first .. first + count − 1, (rows, count) int64; `noise.prior_codes` row by row.

    Args:
        keys: the key's two words per row, (rows, 2) int64.
        draws: which draw, (rows,) int64.
        first: position.
        count: positions.
        num_bits: H, at most 31.
    """
    num_rows = keys.shape[0]
    counter = torch.zeros(num_rows, count, 4, dtype=torch.int64, device=keys.device)
    counter[..., 0] = torch.arange(first, first + count, device=keys.device)
    counter[..., 1] = draws[:, None]
    counter[..., 2] = int(Stream.CODE)
    words = [philox(counter[row], (int(key[0]), int(key[1])))[:, 0] for row, key in enumerate(keys.cpu())]
    return torch.stack(words) % (1 << num_bits)


def decode_mask(positions: Tensor, start: int, num_keys: int, dtype: torch.dtype) -> Tensor:
    """What one query per row sees of the cache, added to its scores: (B, 1, 1, S), 0 where s <= position, else -inf.

    Args:
        positions: (B, 1) int64.
        start: the position where the cache's memory begins.
        num_keys: S.
        dtype: of the scores.
    """
    seen = torch.arange(start, start + num_keys, device=positions.device) <= positions[:, None, :, None]
    return additive(seen, dtype)
