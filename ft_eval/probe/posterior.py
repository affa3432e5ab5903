"""The encoder on whole texts: the posterior q(Z | text), in which Z has seen every token that it then helps to predict.

A cross-entropy under these codes is no loss: the codes carry the text. They serve to measure what Z holds (KL) and as
the proposal of an importance-weighted bound, where log p(Z) − log q(Z) takes the leak out again. Nothing outside this
package may call this, and nothing here scores a task.

    T tokens    H latent bits    L_{t,h} bit logits
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.latent import bits_from_codes, codes_from_bits
from ft_eval.model.noise import NoiseKey, Stream, philox

_MAX_NOISE = 2**20
"""Random numbers drawn at once."""


def encode_whole_text_leaking_target(model: LatentModel, token_ids: Sequence[int]) -> tuple[Tensor, Tensor]:
    """X (1, T, D) of a text and its bit logits (T − 1, H) in float64, the encoder having seen all T tokens.

    The last token's Z touches no prediction, so its logits are left out.

    Raises:
        ValueError: the model has no latent.
    """
    x = model.lower(torch.tensor([token_ids], device=model.device))
    return x, model.encode(x)[0, :-1].double()


def draw_posterior_codes(bit_logits: Tensor, key: NoiseKey, num_draws: int) -> Tensor:
    """Codes (K, T) int64 drawn from bit logits (T, H); draw k has the noise of `uniforms` under the key's k-th draw."""
    num_positions, num_bits = bit_logits.shape
    probabilities = torch.sigmoid(bit_logits.double()).cpu()
    step = max(1, _MAX_NOISE // (num_positions * num_bits))
    parts = []
    for start in range(0, num_draws, step):
        draws = range(start, min(start + step, num_draws))
        words = _words(key, draws, (num_positions, num_bits), Stream.POSTERIOR)
        noise = ((words[..., 0] >> 5) * 2**26 + (words[..., 1] >> 6)).double() * 2.0**-53
        parts.append(codes_from_bits(noise < probabilities))
    return torch.cat(parts).to(bit_logits.device)


def draw_prior_codes(key: NoiseKey, num_draws: int, num_positions: int, num_codes: int) -> Tensor:
    """Codes (K, T) int64, uniform; draw k has the codes of `prior_codes` under the key's k-th draw."""
    return _words(key, range(num_draws), (num_positions, 1), Stream.CODE)[:, :, 0, 0] % num_codes


def _words(key: NoiseKey, draws: range, shape: tuple[int, int], stream: Stream) -> Tensor:
    """Random words (draws, positions, values, 4) of many draws at once: the counters of `ft_eval.model.noise`."""
    counter = torch.zeros(len(draws), *shape, 4, dtype=torch.int64)
    counter[..., 0] = torch.arange(shape[0])[:, None]
    counter[..., 1] = torch.arange(draws.start, draws.stop)[:, None, None]
    counter[..., 2] = int(stream)
    counter[..., 3] = torch.arange(shape[1])
    return philox(counter, key.words)


def log_posterior(bit_logits: Tensor, codes: Tensor) -> Tensor:
    """Log q(Z | text) in nats, (...) float64, for bit logits (T, H) and codes (..., T)."""
    ones = bits_from_codes(codes, bit_logits.shape[-1])
    logits = bit_logits.double()
    return torch.where(ones, F.logsigmoid(logits), F.logsigmoid(-logits)).sum((-1, -2))
