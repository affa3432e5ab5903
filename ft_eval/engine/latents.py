"""The codes Z of one sequence under a policy. Knows where noise comes from; knows no batch and no task.

Z_t = hash(seed, item, draw, t) mod 2^H, so an item's codes are the same in any batch, order or restart. The encoder is
shown a prompt and nothing else: a sequence to be scored is split into prompt and continuation before it gets here, and
the continuation never comes in.

    policy      prompt positions                    positions after the prompt
    prior       uniform                             uniform
    posterior   encoder on this prompt              uniform
    shuffled    encoder on another item's prompt    uniform
    zero        R = 0                               R = 0
    fixed       uniform, the same for all items     the same

With a shared prefix, the prior's codes of a prompt's whole 64-token chunks are keyed by the tokens up to the chunk's
end, not by the item: prompts that begin alike have the same Z there, whatever else is asked.
"""

import hashlib
from array import array
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from ft_eval.engine.prefixes import CHUNK_TOKENS
from ft_eval.errors import UsageError
from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.latent import NO_CODE, codes_from_bits
from ft_eval.model.noise import NoiseKey, Stream, prior_codes, uniforms
from ft_eval.records import LatentPolicy, LatentSource

_NUM_REMEMBERED = 4096
"""Prompts whose bit probabilities are kept: the choices and draws of one item ask for the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentContext:
    """What the codes of one sequence may depend on."""

    noise: NoiseKey
    prompt: tuple[int, ...]
    """The tokens that were given, before any that is scored or generated."""
    donor: tuple[int, ...] = ()
    """Another item's prompt, for the shuffled policy."""


class LatentSampler:
    """Draws the codes of a sequence for one model under one policy.

    Raises:
        UsageError: a policy for a baseline, or none for a latent model.
    """

    def __init__(self, model: LatentModel, policy: LatentPolicy | None) -> None:
        latent = model.config.latent
        if (latent is None) != (policy is None):
            kind = "a baseline takes no latent policy" if latent is None else "a latent model needs a policy"
            raise UsageError(f"{kind}; got {policy.source if policy else None}")
        self._model = model
        self._source = policy.source if policy else None
        self._keys_prefixes = policy is not None and policy.shares_prefix
        self._num_codes = latent.num_codes if latent else 0
        self._num_bits = latent.num_bits if latent else 0
        self._bit_probabilities = lru_cache(maxsize=_NUM_REMEMBERED)(self._encode)

    @property
    def shares_prefixes(self) -> bool:
        """Whether sequences that begin alike have the same codes there, under one draw."""
        return self._source in (None, LatentSource.ZERO, LatentSource.FIXED) or self._keys_prefixes

    def codes(self, context: LatentContext, num_positions: int) -> Tensor | None:
        """The codes at positions 0 to num_positions − 1.

        Returns:
            (num_positions,) int64 in [0, 2^H), or −1 where R = 0; None for a baseline.

        Raises:
            UsageError: the shuffled policy without a donor.
        """
        if self._source is None:
            return None
        if self._source is LatentSource.ZERO:
            return torch.full((num_positions,), NO_CODE, dtype=torch.int64)
        noise = replace(context.noise, item="fixed") if self._source is LatentSource.FIXED else context.noise
        codes = prior_codes(noise, num_positions, self._num_codes)
        if self._keys_prefixes:
            self._key_by_prefix(codes, context)
        if self._source in (LatentSource.POSTERIOR, LatentSource.SHUFFLED):
            drawn = self._posterior(context)[:num_positions]
            codes[: drawn.numel()] = drawn
        return codes

    def _key_by_prefix(self, codes: Tensor, context: LatentContext) -> None:
        """Put in the codes of the prompt's whole chunks, its last token left out."""
        hashed = hashlib.blake2b(digest_size=16)
        for end in range(CHUNK_TOKENS, min(len(context.prompt), len(codes) + 1), CHUNK_TOKENS):
            chunk = slice(end - CHUNK_TOKENS, end)
            hashed.update(array("q", context.prompt[chunk]).tobytes())
            noise = replace(context.noise, item=f"prefix/{hashed.hexdigest()}")
            codes[chunk] = prior_codes(noise, CHUNK_TOKENS, self._num_codes)

    def _posterior(self, context: LatentContext) -> Tensor:
        """Codes of the prompt's positions, bits drawn from the encoder's probabilities: (T,) int64."""
        seen = context.prompt
        if self._source is LatentSource.SHUFFLED:
            if not context.donor:
                raise UsageError("--latents shuffled needs another item's prompt: give it at least 2 documents")
            seen = context.donor
        probabilities = self._bit_probabilities(seen)[: len(context.prompt)]
        noise = uniforms(context.noise, probabilities.shape[0], Stream.POSTERIOR, num_values=self._num_bits)
        return codes_from_bits(noise < probabilities)

    def _encode(self, prompt: tuple[int, ...]) -> Tensor:
        """P(bit = 1) at each position of a prompt, alone in its batch: (T, H) float64."""
        tokens = torch.tensor([prompt], device=self._model.device)
        bit_logits = self._model.encode(self._model.lower(tokens))[0]
        return torch.sigmoid(bit_logits.double()).cpu()
