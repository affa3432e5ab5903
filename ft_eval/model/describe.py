"""A ModelConfig in the words of the hub's config.json: the way back from `families.py`. Writes no file."""

from ft_eval.model.config import ModelConfig, RopeScaling
from ft_eval.model.families import FREE_TRANSFORMER, MODEL_TYPES, parse_config


def to_hub(config: ModelConfig) -> dict[str, object]:
    """The config.json of a model: of the first family that reads it back unchanged, so that other tools read it too."""
    for family in MODEL_TYPES:
        raw = _describe(config, family)
        if parse_config(raw, "config.json") == config:
            return raw
    raise ValueError(f"no family describes {config}")


def _describe(config: ModelConfig, family: str) -> dict[str, object]:
    """The config in a family's words, which may lack words for some of it."""
    raw: dict[str, object] = {
        "model_type": family,
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.max_position_embeddings,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": _describe_scaling(config.rope_scaling),
        "tie_word_embeddings": config.tie_embeddings,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": config.eos_token_ids[0] if len(config.eos_token_ids) == 1 else list(config.eos_token_ids),
    }
    return raw | _describe_family(config, family)


def _describe_scaling(scaling: RopeScaling | None) -> dict[str, object] | None:
    if scaling is None:
        return None
    raw: dict[str, object] = {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind == "llama3":
        raw["low_freq_factor"] = scaling.low_freq_factor
        raw["high_freq_factor"] = scaling.high_freq_factor
        raw["original_max_position_embeddings"] = scaling.original_max_position_embeddings
    return raw


def _describe_family(config: ModelConfig, family: str) -> dict[str, object]:
    raw: dict[str, object] = {"architectures": [f"{family.capitalize()}ForCausalLM"]}
    if family in ("llama", "qwen3"):
        raw["attention_bias"] = config.qkv_bias
    if family == "llama":
        raw["mlp_bias"] = config.mlp_bias
    if family == "mistral":
        raw["sliding_window"] = config.sliding_window
    return _describe_free(config) if family == FREE_TRANSFORMER else raw


def _describe_free(config: ModelConfig) -> dict[str, object]:
    names = ("qkv_bias", "output_bias", "mlp_bias", "qk_norm", "sliding_window")
    raw: dict[str, object] = {name: getattr(config, name) for name in names}
    if config.latent is not None:
        raw["latent_num_bits"] = config.latent.num_bits
        raw["latent_kappa_bits"] = config.latent.kappa_bits
        if config.latent.readout_bias:
            raw["latent_readout_bias"] = True
    return raw
