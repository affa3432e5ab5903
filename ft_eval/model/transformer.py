"""The one decoder, for both arms: `forward = upper(lower(tokens), residual = R)`.

    tokens ─▶ embedding ─▶ blocks 0 .. M-1 ─▶ X ──queries──▶ block M ─▶ blocks M+1 .. L-1 ─▶ norm ─▶ hidden ─▶ logits
              └──────── lower: no Z ────────┘ └─X + R: K, V─▶ └──────────── upper ─────────────────┘
                                                    M = L // 2, counting from 0

A baseline is this class without a latent; a latent model whose post-sampler is zero equals it bit for bit. Scoring,
generation, prefill and training all come through here. Draws nothing: Z comes in as codes.

    B rows    T tokens    D hidden size    V vocabulary    S cache positions    H latent bits
"""

import torch
from torch import Tensor, nn

from ft_eval.model.cache import KVCache, Prefix
from ft_eval.model.config import ModelConfig
from ft_eval.model.latent import Latent
from ft_eval.model.layers import AttentionPlan, Block, Memory, RMSNorm, normal
from ft_eval.model.plans import Placement, Planner, additive


class Backbone(nn.Module):
    """Embedding, blocks and final norm, under the names that the hub's checkpoints give them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        table = normal(config.vocab_size, config.hidden_size)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, _weight=table)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)


class Transformer(nn.Module):
    """A decoder Transformer with an optional latent.

    Two ways to call it, told apart by `positions`:

    - None, a prefill: T tokens from position 0 on, causal attention among themselves; keys and values are also
      written to the cache when one is given.
    - (B, T) int64, an extension: keys and values are written to the cache at those positions, and a query at
      position p sees the cache's positions s <= p. One token per row (decoding) or several (scoring).

    Rows of unequal length are padded on the right: no earlier query sees the padding, later writes replace it.

    Both kinds can go on behind a `Prefix`, whose keys and values are read in place and seen by every query; a prefill
    then begins at the position behind it. `lower` and `upper` take a third kind, too: `visible` says which of the
    call's own tokens a token sees, so that one row can hold a context and all of its continuations.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Backbone(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.latent = None if config.latent is None else Latent(config, config.latent)
        self._plans = Planner(config)
        self.tie_weights()

    def tie_weights(self) -> None:
        """Make the readout the embedding table itself, where the config says so."""
        if self.config.tie_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights and of all activations."""
        return self.model.embed_tokens.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.embed_tokens.weight.device

    def new_cache(self, num_rows: int, max_length: int, *, starts: tuple[int, int] = (0, 0)) -> KVCache:
        """A cache for `num_rows` sequences of at most `max_length` tokens, of the weights' type and on their device.

        `starts`: the positions where the memory of the lower and of the upper blocks begins.
        """
        return KVCache(self.config, num_rows, max_length, self.dtype, self.device, starts=starts)

    def forward(
        self,
        token_ids: Tensor,
        *,
        codes: Tensor | None = None,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
        prefixes: tuple[Prefix | None, Prefix | None] = (None, None),
    ) -> Tensor:
        """Hidden states (B, T, D) after the final norm; `logits` turns those that are needed into scores.

        Args:
            token_ids: (B, T) int64.
            codes: Z, (B, T) int64 in [0, 2^H), -1 where R = 0. Required by a latent model, refused by a baseline.
            positions: None for a prefill, (B, T) int64 for an extension.
            cache: B rows; required by an extension.
            prefixes: what comes before, in the lower and in the upper blocks.

        Raises:
            ValueError: codes, positions or cache don't fit the model or each other.
            CheckpointError: the sequence is longer than the model's sliding window.
        """
        self._check_codes(codes)
        places = [Placement(positions=positions, cache=cache, prefix=prefix) for prefix in prefixes]
        plan = self._plans.make(token_ids, self.dtype, places[0])
        x = self._lower(token_ids, plan, places[0])
        if places[1].start != places[0].start:
            plan = self._plans.make(token_ids, self.dtype, places[1])
        return self._upper(x, None if codes is None else self.post_sample(codes), plan, places[1])

    def lower(
        self,
        token_ids: Tensor,
        *,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
        prefix: Prefix | None = None,
        visible: Tensor | None = None,
    ) -> Tensor:
        """X (B, T, D) after blocks 0 .. L/2 - 1, which never see Z; the prefix is of these blocks.

        `visible`, (B, T, T) bool, says which of the call's tokens each of them sees; with positions, without a cache.
        """
        place = Placement(positions=positions, cache=cache, prefix=prefix, visible=visible)
        return self._lower(token_ids, self._plans.make(token_ids, self.dtype, place), place)

    def upper(  # noqa: PLR0913 — all that a pass hangs on, each by its name
        self,
        x: Tensor,
        *,
        residual: Tensor | None = None,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
        prefix: Prefix | None = None,
        visible: Tensor | None = None,
        wanted: Tensor | None = None,
    ) -> Tensor:
        """Hidden states (B, T, D) from X (B, T, D) and R (B, T, D): blocks L/2 .. L - 1 and the final norm.

        R, where there is one, enters only the keys and values of block L/2. `wanted`, (B, Q) int64, says which of the
        call's tokens are asked for: (B, Q, D), for which the last block need not be computed whole. The rest as in
        `lower`.
        """
        place = Placement(positions=positions, cache=cache, prefix=prefix, visible=visible)
        return self._upper(x, residual, self._plans.make(x, self.dtype, place), place, wanted)

    def remember(
        self, x: Tensor, cache: KVCache, *, residual: Tensor | None = None, positions: Tensor | None = None
    ) -> None:
        """Fill the cache as `upper` does from X (B, T, D) and R, for the sake of later tokens alone.

        The last block's attention and MLP are left out: nothing reads what they give.
        """
        middle, last = self.config.middle, self.config.num_layers - 1
        place = Placement(positions=positions, cache=cache)
        plan = self._plans.make(x, self.dtype, place)
        kv_input = x if residual is None else x + residual
        for i in range(middle, last):
            x = self.model.layers[i](x, plan, _memory(i, place), kv_input=kv_input)
            kv_input = x
        block = self.model.layers[last]
        assert isinstance(block, Block), "a ModuleList says only that it holds modules"
        block.remember(kv_input, plan, cache.layer(last))

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores (..., V) of hidden states (..., D), whatever the leading shape: pass only the rows you need."""
        scores: Tensor = self.lm_head(hidden)
        return scores

    def encode(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """Bit logits (B, T, H) of the posterior q(Z | S), from X (B, T, D) of whole sequences.

        The encoder looks both ways, so it must see only what Z may depend on: X of the prompt alone.

        Args:
            x: what `lower` gave for the sequences, from position 0 on.
            lengths: tokens of each row, (B,) int64, where rows are padded on the right; None: all are full. Logits
                at padded positions mean nothing.

        Raises:
            ValueError: the model has no latent.
        """
        latent = self._latent()
        positions = torch.arange(x.shape[1], device=x.device)[None]
        mask = None if lengths is None else additive(positions[:, None, None] < lengths[:, None, None, None], x.dtype)
        bit_logits: Tensor = latent.encoder(
            latent.zeta, x, AttentionPlan(rotation=self._plans.rope(positions, x.dtype), mask=mask)
        )
        return bit_logits

    def post_sample(self, codes: Tensor) -> Tensor:
        """R (B, T, D) for codes (B, T) int64 in [0, 2^H); zero where a code is -1.

        Raises:
            ValueError: the model has no latent.
        """
        R: Tensor = self._latent().post_sampler(codes)
        return R

    def _latent(self) -> Latent:
        if self.latent is None:
            raise ValueError("this model has no latent: a baseline neither encodes nor takes codes")
        return self.latent

    def _check_codes(self, codes: Tensor | None) -> None:
        if codes is None and self.latent is not None:
            raise ValueError("a latent model needs codes: say where Z comes from (codes of -1 switch it off)")
        if codes is not None:
            self._latent()

    def _lower(self, token_ids: Tensor, plan: AttentionPlan, place: Placement) -> Tensor:
        x: Tensor = self.model.embed_tokens(token_ids)
        for i in range(self.config.middle):
            x = self.model.layers[i](x, plan, _memory(i, place))
        return x

    def _upper(
        self,
        x: Tensor,
        residual: Tensor | None,
        plan: AttentionPlan,
        place: Placement,
        wanted: Tensor | None = None,
    ) -> Tensor:
        kv_input, last = None if residual is None else x + residual, self.config.num_layers - 1
        for i in range(self.config.middle, last if wanted is not None else last + 1):
            x = self.model.layers[i](x, plan, _memory(i, place), kv_input=kv_input)
            kv_input = None  # only the middle block sees R, and only through its keys and values
        if wanted is not None:
            block = self.model.layers[last]
            assert isinstance(block, Block), "a ModuleList says only that it holds modules"
            x = block.at(wanted, x, plan, _memory(last, place), kv_input)
        hidden: Tensor = self.model.norm(x)
        return hidden


def _memory(index: int, place: Placement) -> Memory:
    """What block `index` reads and writes."""
    cache, prefix = place.cache, place.prefix
    return Memory(
        cache=None if cache is None else cache.layer(index), prefix=None if prefix is None else prefix.layers[index]
    )
