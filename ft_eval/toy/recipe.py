"""All that decides what a training gives, as frozen data, and its JSON. Knows no tensor and no file."""

import json
from dataclasses import asdict, dataclass
from types import MappingProxyType

from ft_eval.errors import UsageError, did_you_mean
from ft_eval.model.config import LatentConfig, ModelConfig
from ft_eval.model.tokenizer import BYTE_BOS, BYTE_EOS, BYTE_PAD
from ft_eval.records import Arm
from ft_eval.toy.corpora import SOURCES

TARGET_ROW_LENGTH = 68
"""<|bos|>, 66 characters and <|eos|>."""
TEXT_ROW_LENGTH = 320

_NUM_ROWS = MappingProxyType({"target": 3, "problems": 2, "choices": 2, "functions": 1})
"""Rows per step, by source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """The shape that both arms share."""

    hidden_size: int = 128
    num_layers: int = 4
    num_heads: int = 4
    num_kv_heads: int = 2
    intermediate_size: int = 384
    max_position_embeddings: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a pair is trained: both arms the same way, on the same rows in the same order."""

    corpora: tuple[str, ...] = tuple(_NUM_ROWS)
    """Names of the sources, of `SOURCES`."""
    backbone: Backbone = Backbone()
    num_latent_bits: int = 8
    """H of the latent arm."""
    kappa_bits: float = 0.5
    """κ, the free bits per token of the latent arm, in bits (not nats)."""
    bit_scale: float | None = None
    """How the post-sampler starts. None: as other matrices do, every row random. A number: rows are sums of a direction
    per bit, so many times larger. Random rows say nothing of a bit but in company of all the others, and X outgrows
    them fifty times in the first hundred steps: the decoder never hears Z, and the encoder's bits drift to the same
    values for every text, which is KL without information, at any κ."""
    question_weight: float = 0.1
    """Weight in the cross-entropy of tokens that belong to no answer, in [0, 1]; answers weigh 1. Most of a question is
    chance, which costs a small model time and teaches it little; at 1 the loss is the paper's."""
    num_steps: int = 2400
    num_warmup_steps: int = 100
    learning_rate: float = 2e-3
    """The peak; it rises linearly, then falls to a tenth along a cosine."""
    weight_decay: float = 0.1
    """Of matrices alone."""
    max_gradient_norm: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name in self.corpora:
            if name not in SOURCES:
                raise UsageError(f"no toy corpus {name!r}; there are {', '.join(SOURCES)}{did_you_mean(name, SOURCES)}")
        if not self.corpora:
            raise UsageError(f"a recipe needs at least one corpus of {', '.join(SOURCES)}")

    def model_config(self, arm: Arm) -> ModelConfig:
        """The shape of one arm's model."""
        shape = self.backbone
        latent = LatentConfig(num_bits=self.num_latent_bits, kappa_bits=self.kappa_bits)
        return ModelConfig(
            vocab_size=BYTE_PAD + 1,
            hidden_size=shape.hidden_size,
            num_layers=shape.num_layers,
            num_heads=shape.num_heads,
            num_kv_heads=shape.num_kv_heads,
            head_dim=shape.hidden_size // shape.num_heads,
            intermediate_size=shape.intermediate_size,
            max_position_embeddings=shape.max_position_embeddings,
            tie_embeddings=True,
            bos_token_id=BYTE_BOS,
            eos_token_ids=(BYTE_EOS,),
            latent=latent if arm is Arm.LATENT else None,
        )

    def num_rows(self, corpus: str) -> int:
        """Rows of a source in each step."""
        return _NUM_ROWS[corpus]

    def row_length(self, corpus: str) -> int:
        """Tokens of each of the source's rows, the special ones included."""
        return TARGET_ROW_LENGTH if corpus == "target" else TEXT_ROW_LENGTH

    @property
    def num_training_tokens(self) -> int:
        """Tokens that each arm has seen at the last step."""
        per_step = sum(self.num_rows(corpus) * self.row_length(corpus) for corpus in self.corpora)
        return self.num_steps * per_step

    def to_json(self) -> str:
        """One object, sorted, indented: equal recipes give equal text."""
        return json.dumps(asdict(self), indent=2, sort_keys=True)
