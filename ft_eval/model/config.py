"""What a model is made of, as frozen data. Knows no tensor, no file and no family name: `families.py` reads those.

Letters: V vocabulary, D hidden size, L blocks, H latent bits per token.
"""

from dataclasses import dataclass

from ft_eval.errors import CheckpointError

MAX_LATENT_BITS = 24
"""The post-sampler has 2^H rows; above 24 bits the table alone would be larger than any model it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RopeScaling:
    """How the rotary frequencies are stretched for contexts longer than the first training's."""

    kind: str
    """`linear` (all frequencies divided by the factor) or `llama3` (the low ones only, smoothly)."""
    factor: float
    low_freq_factor: float = 1.0
    """llama3 only: wavelengths above original_max_position_embeddings / this are divided by the factor."""
    high_freq_factor: float = 4.0
    """llama3 only: wavelengths below original_max_position_embeddings / this are left as they are."""
    original_max_position_embeddings: int = 8192
    """llama3 only: the context of the first training, in tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentConfig:
    """The latent of a Free Transformer."""

    num_bits: int
    """H, the bits of one token's latent; 16 in the paper."""
    kappa_bits: float | None = None
    """The free bits κ the model was trained with, in bits per token (not nats); None when not told."""
    readout_bias: bool = False
    """The encoder's readout adds a bias to the bit logits."""

    def __post_init__(self) -> None:
        if not 1 <= self.num_bits <= MAX_LATENT_BITS:
            raise CheckpointError(f"latent_num_bits is {self.num_bits}, expected 1 to {MAX_LATENT_BITS}")
        if self.kappa_bits is not None and not 0 <= self.kappa_bits <= self.num_bits:
            raise CheckpointError(
                f"latent_kappa_bits is {self.kappa_bits:g}, expected 0 to latent_num_bits ({self.num_bits})"
            )

    @property
    def num_codes(self) -> int:
        """2^H, the number of codes one token's latent can take."""
        return 1 << self.num_bits


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The shape of a decoder Transformer. The same class serves both arms: a baseline has `latent=None`."""

    vocab_size: int
    hidden_size: int
    """D."""
    num_layers: int
    """L."""
    num_heads: int
    num_kv_heads: int
    """Key-value heads of grouped-query attention; divides num_heads."""
    head_dim: int
    intermediate_size: int
    """Width of the SwiGLU."""
    norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    max_position_embeddings: int
    """The longest context the model was trained for, in tokens."""
    sliding_window: int | None = None
    """Tokens that a query of the original model sees at most. Attention here is full, which is the same up to that
    length; a longer sequence is refused. None: no limit."""
    tie_embeddings: bool = False
    """The readout is the embedding table."""
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    """An RMSNorm over each head of the queries and of the keys, before RoPE (Qwen3)."""
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    """Any of them ends a generation."""
    latent: LatentConfig | None = None

    def __post_init__(self) -> None:
        if self.num_heads % self.num_kv_heads:
            raise CheckpointError(
                f"num_attention_heads ({self.num_heads}) must be a multiple of "
                f"num_key_value_heads ({self.num_kv_heads})"
            )
        if self.head_dim % 2:
            raise CheckpointError(f"head_dim is {self.head_dim}, expected an even number: RoPE turns pairs")
        if self.latent is not None and self.num_layers < 2:
            raise CheckpointError("num_hidden_layers is 1, expected at least 2: a latent enters half-way up")

    @property
    def context_length(self) -> int:
        """The longest sequence that this model computes as it was trained to, in tokens."""
        window = self.sliding_window
        return self.max_position_embeddings if window is None else min(window, self.max_position_embeddings)

    @property
    def middle(self) -> int:
        """L // 2, counting from 0: the block whose keys and values see X + R."""
        return self.num_layers // 2


def flops_per_token(config: ModelConfig) -> int:
    """Multiplications and additions of the matrices that one token goes through, blocks and readout.

    Without attention over earlier tokens, norms and lookups: a latent's row of the post-sampler is looked up, so both
    arms of a pair have the same number. The encoder's is apart.
    """
    return config.num_layers * _block_flops(config) + 2 * config.hidden_size * config.vocab_size


def encoder_flops_per_token(config: ModelConfig) -> int:
    """The same for the encoder, which some policies run over prompts, and nothing else; 0 without a latent."""
    return 0 if config.latent is None else _block_flops(config) + 2 * config.hidden_size * config.latent.num_bits


def _block_flops(config: ModelConfig) -> int:
    queries, keys = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    return 2 * config.hidden_size * (2 * queries + 2 * keys + 3 * config.intermediate_size)
