"""Noise as a function, not a stream: Z and sampling noise of (seed, item, draw, position), counter-based.

The generator is Philox-4x32-10 (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"), in plain int64
operations, so the noise is the same for any batch, order, restart, worker count or device. Knows no model and no task.

    key     = 64 bits of blake2b(seed, item)          which item of which run
    counter = (position, draw, stream, index)         where in it, which draw, what for
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_NUM_ROUNDS = 10


class Stream(IntEnum):
    """What the noise is for; two streams of one item are independent."""

    CODE = 0
    """Z_t from the prior."""
    TOKEN = 1
    """The sampled token at a position."""
    POSTERIOR = 2
    """Z_t from the encoder's bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseKey:
    """Whose noise it is: all choices of one item, and both arms of an ablation, share the item and so the noise."""

    seed: int
    item: str
    """What the noise belongs to, such as `gsm8k/17`."""
    draw: int = 0
    """Which of the K draws, in [0, 2^32)."""

    @property
    def words(self) -> tuple[int, int]:
        """The generator's key: two 32-bit words."""
        digest = hashlib.blake2b(f"{self.seed}\x1f{self.item}".encode(), digest_size=8).digest()
        return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def philox(counter: Tensor, key: tuple[int, int]) -> Tensor:
    """Philox-4x32-10 of each counter under one key.

    Args:
        counter: (..., 4) int64, each word in [0, 2^32).
        key: two words in [0, 2^32).

    Returns:
        (..., 4) int64, each word uniform in [0, 2^32).
    """
    c0, c1, c2, c3 = counter.unbind(-1)
    k0, k1 = key
    for _ in range(_NUM_ROUNDS):
        # the 64-bit product wraps in int64; the masks read its two unsigned halves
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = ((p1 >> 32) & _MASK) ^ c1 ^ k0, p1 & _MASK, ((p0 >> 32) & _MASK) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return torch.stack((c0, c1, c2, c3), dim=-1)


def prior_codes(key: NoiseKey, num_positions: int, num_codes: int) -> Tensor:
    """Z_t uniform over the codes, at positions 0 to num_positions − 1.

    Returns:
        (num_positions,) int64 in [0, num_codes); num_codes is a power of two, so the remainder is uniform.
    """
    return _words(key, num_positions, Stream.CODE)[:, 0, 0] % num_codes


def uniforms(key: NoiseKey, num_positions: int, stream: Stream, *, num_values: int = 1) -> Tensor:
    """Independent uniforms in [0, 1) with 53 random bits.

    Returns:
        (num_positions, num_values) float64.
    """
    words = _words(key, num_positions, stream, num_values)
    return ((words[..., 0] >> 5) * 2**26 + (words[..., 1] >> 6)).to(torch.float64) * 2.0**-53


def _words(key: NoiseKey, num_positions: int, stream: Stream, num_values: int = 1) -> Tensor:
    """Four random words per position and value, (num_positions, num_values, 4)."""
    counter = torch.zeros(num_positions, num_values, 4, dtype=torch.int64)
    counter[..., 0] = torch.arange(num_positions)[:, None]
    counter[..., 1] = key.draw
    counter[..., 2] = int(stream)
    counter[..., 3] = torch.arange(num_values)
    return philox(counter, key.words)
