"""The model families that load: what a hub config.json says, as a ModelConfig. `describe.py` is the way back.

A family is a model_type. What it has that this package does not compute is refused by its name, never ignored. Reads
no file and no tensor.

    llama            Llama 1 to 3.3, also with Llama-3 or linear RoPE scaling
    mistral          the same blocks; a sliding window bounds the context
    qwen2            biases on queries, keys and values
    qwen3            norms on the heads of queries and keys
    free_transformer any of these, with or without a latent
"""

from collections.abc import Mapping
from dataclasses import replace

from ft_eval.errors import CheckpointError, did_you_mean
from ft_eval.model.config import LatentConfig, ModelConfig, RopeScaling
from ft_eval.model.hub_json import Fields

FREE_TRANSFORMER = "free_transformer"
MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3", FREE_TRANSFORMER)

_ACTIVATIONS = ("silu", "swish")
_MAX_LAYERS = 1000
_MAX_VOCABULARY = 2**26
_MAX_WIDTH = 2**20

_REFUSED: Mapping[str, tuple[object, ...]] = {
    "quantization_config": (),
    "compression_config": (),
    "partial_rotary_factor": (1,),
    "rotary_pct": (1,),
    "num_experts": (0, 1),
    "num_local_experts": (0, 1),
    "n_routed_experts": (0, 1),
    "attn_logit_softcapping": (),
    "final_logit_softcapping": (),
    "clip_qkv": (),
    "embedding_multiplier": (1,),
    "residual_multiplier": (1,),
    "attention_multiplier": (),
    "logits_scaling": (1,),
    "attention_chunk_size": (),
    "no_rope_layers": ([],),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "use_mrope": (False,),
}
"""Features that this package does not compute, and the values (besides null) at which they change nothing."""

_LATENT_FIELDS = ("latent_num_bits", "latent_kappa_bits", "latent_readout_bias")


def parse_config(raw: Mapping[str, object], where: str) -> ModelConfig:
    """The model that a config.json describes.

    Args:
        raw: the file's object.
        where: what an error line calls it.

    Raises:
        CheckpointError: the family or one of its features is not supported, or a field is absent or out of range.
    """
    fields = Fields(raw, where)
    family = _family(fields)
    _refuse_unsupported(fields)
    _check_latent_fields(fields, family)
    try:
        return _parse(fields, family)
    except CheckpointError as error:
        text = str(error)
        raise CheckpointError(text if text.startswith(where) else f"{where}: {text}") from None


def _family(fields: Fields) -> str:
    fields.require("model_type")
    family = fields.text_or("model_type", "")
    if family not in MODEL_TYPES:
        raise CheckpointError(
            f"{fields.where}: model_type {family!r} is not supported, only {', '.join(MODEL_TYPES)}"
            f"{did_you_mean(family, MODEL_TYPES)}"
        )
    return family


def _refuse_unsupported(fields: Fields) -> None:
    activation = fields.text_or("hidden_act", "silu")
    if activation not in _ACTIVATIONS:
        raise CheckpointError(f"{fields.where}: hidden_act {activation!r} is not supported, only silu")
    for name, neutral in _REFUSED.items():
        if fields.has(name) and fields.raw[name] not in neutral:
            raise CheckpointError(f"{fields.where}: {name} is not supported; this model can't be evaluated faithfully")


def _check_latent_fields(fields: Fields, family: str) -> None:
    for name in fields.raw:
        if not name.startswith("latent_"):
            continue
        if family != FREE_TRANSFORMER:
            raise CheckpointError(f"{fields.where}: {name} needs model_type {FREE_TRANSFORMER!r}, got {family!r}")
        if name not in _LATENT_FIELDS:
            raise CheckpointError(f"{fields.where}: {name} is unknown{did_you_mean(name, _LATENT_FIELDS)}")


def _parse(fields: Fields, family: str) -> ModelConfig:
    num_heads = fields.integer("num_attention_heads", high=_MAX_WIDTH)
    hidden_size = fields.integer("hidden_size", high=_MAX_WIDTH)
    max_position_embeddings = fields.integer("max_position_embeddings")
    bos = fields.token_ids("bos_token_id") if "bos_token_id" in fields.raw else _default_ids(family, 1)
    eos = fields.token_ids("eos_token_id") if "eos_token_id" in fields.raw else _default_ids(family, 2)
    config = ModelConfig(
        vocab_size=fields.integer("vocab_size", high=_MAX_VOCABULARY),
        hidden_size=hidden_size,
        num_layers=fields.integer("num_hidden_layers", high=_MAX_LAYERS),
        num_heads=num_heads,
        num_kv_heads=_num_kv_heads(fields, family, num_heads),
        head_dim=_head_dim(fields, family, hidden_size, num_heads),
        intermediate_size=fields.integer("intermediate_size", high=_MAX_WIDTH),
        norm_eps=fields.number_or("rms_norm_eps", 1e-6),
        rope_theta=_rope_theta(fields),
        rope_scaling=_rope_scaling(fields, max_position_embeddings),
        max_position_embeddings=max_position_embeddings,
        sliding_window=_sliding_window(fields, family, max_position_embeddings),
        tie_embeddings=fields.flag_or("tie_word_embeddings", default=False),
        bos_token_id=bos[0] if bos else None,
        eos_token_ids=eos,
        latent=_latent(fields),
    )
    return _with_biases(config, fields, family)


def _default_ids(family: str, token_id: int) -> tuple[int, ...]:
    """Llama and Mistral configs that say nothing of their special tokens mean 1 and 2."""
    return (token_id,) if family in ("llama", "mistral") else ()


def _num_kv_heads(fields: Fields, family: str, num_heads: int) -> int:
    if family not in ("llama", FREE_TRANSFORMER):
        fields.require("num_key_value_heads")  # the families' own defaults differ; only Llama's is num_heads
    return fields.integer_or("num_key_value_heads", num_heads, high=_MAX_WIDTH)


def _head_dim(fields: Fields, family: str, hidden_size: int, num_heads: int) -> int:
    if fields.has("head_dim"):
        return fields.integer("head_dim", high=_MAX_WIDTH)
    if family == "qwen3" and "head_dim" not in fields.raw:
        return 128  # this family's own default
    if hidden_size % num_heads:
        raise fields.fail("hidden_size", f"a multiple of num_attention_heads ({num_heads}), or a head_dim")
    return hidden_size // num_heads


def _with_biases(config: ModelConfig, fields: Fields, family: str) -> ModelConfig:
    if family == "qwen2":
        return replace(config, qkv_bias=True)
    if family == "mistral":
        return config
    attention_bias = fields.flag_or("attention_bias", default=False)
    return replace(
        config,
        qkv_bias=_free_flag(fields, family, "qkv_bias", attention_bias),
        output_bias=_free_flag(fields, family, "output_bias", attention_bias),
        mlp_bias=family != "qwen3" and fields.flag_or("mlp_bias", default=False),
        qk_norm=_free_flag(fields, family, "qk_norm", family == "qwen3"),
    )


def _free_flag(fields: Fields, family: str, name: str, default: bool) -> bool:  # noqa: FBT001
    """A flag that only the free_transformer family spells out."""
    return fields.flag_or(name, default) if family == FREE_TRANSFORMER else default


def _latent(fields: Fields) -> LatentConfig | None:
    if not fields.has("latent_num_bits"):
        if fields.has("latent_kappa_bits"):
            raise CheckpointError(f"{fields.where}: latent_kappa_bits without latent_num_bits")
        return None
    kappa = fields.number("latent_kappa_bits", low=-1) if fields.has("latent_kappa_bits") else None
    return LatentConfig(
        num_bits=fields.integer("latent_num_bits"),
        kappa_bits=kappa,
        readout_bias=fields.flag_or("latent_readout_bias", default=False),
    )


def _rope_fields(fields: Fields) -> Fields | None:
    """RoPE's own section: `rope_parameters` since transformers 5, `rope_scaling` before."""
    section = fields.section("rope_scaling")
    if section is None or not section.raw:
        section = fields.section("rope_parameters")
    if section is not None and any(isinstance(value, dict) for value in section.raw.values()):
        raise CheckpointError(f"{section.where}: RoPE that differs from layer to layer is not supported")
    return section


def _rope_theta(fields: Fields) -> float:
    section = _rope_fields(fields)
    if section is not None and section.has("rope_theta"):
        return section.number("rope_theta")
    return fields.number_or("rope_theta", 10000.0)


def _rope_scaling(fields: Fields, max_position_embeddings: int) -> RopeScaling | None:
    section = _rope_fields(fields)
    if section is None:
        return None
    if section.has("partial_rotary_factor") and section.number("partial_rotary_factor") != 1:
        raise CheckpointError(f"{section.where}: partial_rotary_factor is not supported")
    kind = section.text_or("rope_type", section.text_or("type", "default"))
    if kind == "default":
        return None
    if kind == "linear":
        return RopeScaling(kind=kind, factor=section.number("factor"))
    if kind != "llama3":
        raise CheckpointError(f"{section.where}: rope_type {kind!r} is not supported, only default, linear, llama3")
    return _llama3_scaling(fields, section, max_position_embeddings)


def _llama3_scaling(fields: Fields, section: Fields, max_position_embeddings: int) -> RopeScaling:
    name = "original_max_position_embeddings"
    original = section.integer_or(name, max_position_embeddings)
    low, high = section.number("low_freq_factor"), section.number("high_freq_factor")
    if low >= high:
        raise section.fail("high_freq_factor", f"more than low_freq_factor ({low:g})")
    return RopeScaling(
        kind="llama3",
        factor=section.number("factor"),
        low_freq_factor=low,
        high_freq_factor=high,
        original_max_position_embeddings=fields.integer_or(name, original),
    )


def _sliding_window(fields: Fields, family: str, max_position_embeddings: int) -> int | None:
    """The longest sequence at which full attention is what the model computes; None where that is any."""
    kinds = fields.raw.get("layer_types") or []
    known = ("full_attention", "sliding_attention")
    if not isinstance(kinds, list) or any(kind not in known for kind in kinds):
        raise CheckpointError(f"{fields.where}: layer_types other than {' and '.join(known)} are not supported")
    if not _has_window(fields, family, kinds):
        return None
    window = fields.integer_or("sliding_window", 4096)  # the families' own default
    return None if window >= max_position_embeddings else window


def _has_window(fields: Fields, family: str, kinds: list[object]) -> bool:
    if family in ("qwen2", "qwen3"):
        if not fields.flag_or("use_sliding_window", default=False):
            return False
        if kinds:
            return "sliding_attention" in kinds
        num_layers = fields.integer("num_hidden_layers")
        return fields.integer_or("max_window_layers", 28, low=0) < num_layers
    if family == "mistral" and "sliding_window" not in fields.raw:
        return True
    return fields.has("sliding_window") or "sliding_attention" in kinds
