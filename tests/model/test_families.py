"""The ecosystem's checkpoints load unchanged: transformers' own models are the reference, feature by feature."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ft_eval.errors import CheckpointError
from ft_eval.model.cache import KVCache
from ft_eval.model.checkpoint import count_parameters, load_model, read_config, save_model
from ft_eval.model.config import LatentConfig, ModelConfig, RopeScaling
from ft_eval.model.describe import to_hub
from ft_eval.model.families import parse_config
from ft_eval.model.transformer import Transformer
from tests.model.tiny import BASELINE, LATENT, random_tokens, tiny_model

TINY = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama tied": ("llama", {"tie_word_embeddings": True}),
    "llama multi-head": ("llama", {"num_key_value_heads": 4}),
    "llama biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama 3 rope": ("llama", {"rope_parameters": LLAMA3}),
    "llama linear rope": ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}),
    "llama wide heads": ("llama", {"head_dim": 16}),
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral window": ("mistral", {"sliding_window": 40}),
    "qwen2": ("qwen2", {}),
    "qwen2 tied": ("qwen2", {"tie_word_embeddings": True, "rope_parameters": {"rope_theta": 1e6}}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "qwen3 tied": ("qwen3", {"head_dim": 8, "tie_word_embeddings": True}),
}


def hub_model(model_type: str, changes: dict[str, Any]) -> Any:
    """A random model of transformers' own, biases and norms random too."""
    transformers = pytest.importorskip("transformers", reason="transformers is the reference our decoder is held to")
    config = transformers.AutoConfig.for_model(model_type, **(TINY | changes))
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith((".bias", "norm.weight")):
                parameter.add_(0.3 * torch.randn(parameter.shape))
    return model


@pytest.fixture(params=list(CASES))
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, Transformer]]:
    """The same weights in transformers and here."""
    theirs = hub_model(*CASES[request.param])
    theirs.save_pretrained(tmp_path)
    with torch.inference_mode():
        yield theirs, load_model(tmp_path)


def greedy(model: Transformer, prompt: list[int], num_tokens: int) -> list[int]:
    """The prompt and what greedy decoding adds, through the cache."""
    ids = list(prompt)
    cache = KVCache(model.config, 1, len(prompt) + num_tokens)
    hidden = model(torch.tensor([ids]), cache=cache)
    for position in range(len(prompt), len(prompt) + num_tokens):
        ids.append(int(model.logits(hidden[0, -1]).argmax()))
        hidden = model(torch.tensor([ids[-1:]]), positions=torch.tensor([[position]]), cache=cache)
    return ids


def test_logits_and_greedy_ids_equal_transformers(pair: tuple[Any, Transformer]) -> None:
    theirs, ours = pair
    tokens = random_tokens(2, 40, vocab_size=97)
    assert (ours.logits(ours(tokens)) - theirs(tokens).logits).abs().max() < 1e-4
    prompt = tokens[:1, :10]
    expected = theirs.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=30, do_sample=False, eos_token_id=None
    )
    assert greedy(ours, prompt[0].tolist(), 30) == expected[0].tolist()


def test_number_of_parameters_equals_transformers(tmp_path: Path) -> None:
    for i, case in enumerate(("llama tied", "qwen2", "qwen3")):
        theirs = hub_model(*CASES[case])
        theirs.save_pretrained(tmp_path / str(i))
        assert count_parameters(tmp_path / str(i)) == theirs.num_parameters()


@torch.inference_mode()
def test_sharded_checkpoints_load_as_whole_ones(tmp_path: Path) -> None:
    theirs = hub_model("llama", {})
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    tokens = random_tokens(1, 9)
    ours = load_model(tmp_path)
    assert (ours.logits(ours(tokens)) - theirs(tokens).logits).abs().max() < 1e-4


@torch.inference_mode()
def test_what_we_save_as_a_plain_family_loads_in_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is the reference our decoder is held to")
    tokens = random_tokens(1, 9)
    shapes: list[dict[str, Any]] = [{}, {"sliding_window": 100}, {"qkv_bias": True}, {"qk_norm": True}]
    for i, changes in enumerate(shapes):
        ours = tiny_model(BASELINE, **changes)
        save_model(ours, tmp_path / str(i))
        theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / str(i))
        assert (ours.logits(ours(tokens)) - theirs(tokens).logits).abs().max() < 1e-4


@torch.inference_mode()
def test_real_checkpoint_gives_its_golden_greedy_ids(stories: Path) -> None:
    expected = json.loads((stories / "greedy_expected_ids.json").read_text())
    assert greedy(load_model(stories), expected[:1], len(expected) - 1) == expected


OLD_LLAMA = {key: value for key, value in TINY.items() if value is not None} | {
    "model_type": "llama",
    "torch_dtype": "float32",
    "rope_theta": 500000.0,
    "rope_scaling": {key: value for key, value in LLAMA3.items() if key != "rope_theta"},
}


def test_rope_reads_the_same_in_the_old_and_the_new_spelling() -> None:
    new = {key: value for key, value in OLD_LLAMA.items() if not key.startswith("rope")} | {"rope_parameters": LLAMA3}
    old_type = OLD_LLAMA | {"rope_scaling": {"type": "linear", "factor": 2.0}}
    assert parse_config(OLD_LLAMA, "") == parse_config(new, "")
    assert parse_config(OLD_LLAMA, "").rope_theta == 500000.0
    assert parse_config(old_type, "").rope_scaling == RopeScaling(kind="linear", factor=2.0)
    assert parse_config(OLD_LLAMA | {"rope_scaling": None}, "").rope_scaling is None


def test_llama_configs_that_say_little_mean_the_family_s_defaults() -> None:
    silent = ("num_key_value_heads", "bos_token_id", "eos_token_id", "rope_theta", "rope_scaling")
    config = parse_config({key: value for key, value in OLD_LLAMA.items() if key not in silent}, "")
    assert (config.num_kv_heads, config.head_dim, config.rope_theta, config.norm_eps) == (4, 8, 10000.0, 1e-6)
    assert (config.bos_token_id, config.eos_token_ids, config.tie_embeddings) == (1, (2,), False)


def test_generation_config_s_end_tokens_win(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(OLD_LLAMA))
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [5, 6], "temperature": 0.6}')
    config = read_config(tmp_path)
    assert (config.bos_token_id, config.eos_token_ids) == (1, (5, 6))


QWEN2 = OLD_LLAMA | {"model_type": "qwen2", "rope_scaling": None}
MISTRAL = OLD_LLAMA | {"model_type": "mistral", "rope_scaling": None}


@pytest.mark.parametrize(
    ("raw", "window"),
    [
        (MISTRAL | {"sliding_window": 64}, 64),
        (MISTRAL | {"sliding_window": 128}, None),
        (MISTRAL | {"sliding_window": None}, None),
        (MISTRAL | {"max_position_embeddings": 8192}, 4096),
        (QWEN2 | {"sliding_window": 64, "use_sliding_window": False}, None),
        (QWEN2 | {"sliding_window": 64, "use_sliding_window": True}, None),
        (QWEN2 | {"sliding_window": 64, "use_sliding_window": True, "max_window_layers": 1}, 64),
        (QWEN2 | {"sliding_window": 64, "use_sliding_window": True, "layer_types": ["full_attention"] * 3}, None),
        (QWEN2 | {"sliding_window": 64, "use_sliding_window": True, "layer_types": ["sliding_attention"] * 3}, 64),
    ],
)
def test_a_sliding_window_becomes_a_limit_where_it_would_change_anything(raw: dict[str, object], window: int) -> None:
    config = parse_config(raw, "")
    assert config.sliding_window == window
    assert config.context_length == (window or config.max_position_embeddings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2' is not supported, only llama, mistral, qwen2, qwen3, free_tran"),
        ({"model_type": "lama"}, "did you mean llama"),
        ({"model_type": None}, "model_type is missing"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu' is not supported, only silu"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is not supported"),
        ({"num_local_experts": 8}, "num_local_experts is not supported"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is not supported"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping is not supported"),
        ({"attention_chunk_size": 8192}, "attention_chunk_size is not supported"),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
            "rope_type 'yarn' is not supported, only default, lin",
        ),
        ({"rope_scaling": {"type": "dynamic", "factor": 4.0}}, "rope_type 'dynamic' is not supported"),
        ({"rope_scaling": {"rope_type": "linear"}}, "rope_scaling: factor is missing"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 0}}, "factor is 0, expected a number above 0"),
        ({"rope_scaling": LLAMA3 | {"high_freq_factor": 1.0}}, "high_freq_factor is 1.0, expected more than low_freq"),
        ({"rope_parameters": {"full_attention": LLAMA3}, "rope_scaling": None}, "differs from layer to layer"),
        ({"rope_parameters": LLAMA3 | {"partial_rotary_factor": 0.5}, "rope_scaling": None}, "partial_rotary_factor"),
        ({"layer_types": ["linear_attention"]}, "layer_types other than full_attention and sliding_attention"),
        ({"vocab_size": None}, "vocab_size is missing"),
        ({"vocab_size": "97"}, 'vocab_size is "97", expected a whole number from 1'),
        ({"vocab_size": True}, "vocab_size is true, expected a whole number"),
        ({"hidden_size": -32}, "hidden_size is -32, expected a whole number from 1"),
        ({"hidden_size": 33}, r"hidden_size is 33, expected a multiple of num_attention_heads \(4\)"),
        ({"num_key_value_heads": 3}, r"num_attention_heads \(4\) must be a multiple of num_key_value_heads \(3\)"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, expected a whole number from 1 to 1000"),
        ({"head_dim": 7}, "head_dim is 7, expected an even number"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps is NaN, expected a number above 0"),
        ({"tie_word_embeddings": "yes"}, 'tie_word_embeddings is "yes", expected true or false'),
        ({"eos_token_id": "</s>"}, 'eos_token_id is "</s>", expected a token id or a list of token ids'),
        ({"hidden_act": 3}, "hidden_act is 3, expected a string"),
        ({"rope_scaling": 8}, "rope_scaling is 8, expected an object"),
        ({"latent_num_bits": 16}, "latent_num_bits needs model_type 'free_transformer', got 'llama'"),
        (
            {"model_type": "free_transformer", "latent_num_bit": 16},
            "latent_num_bit is unknown; did you mean latent_num",
        ),
        ({"model_type": "free_transformer", "latent_num_bits": 25}, "latent_num_bits is 25, expected 1 to 24"),
        ({"model_type": "free_transformer", "latent_kappa_bits": 1}, "latent_kappa_bits without latent_num_bits"),
        (
            {"model_type": "free_transformer", "latent_num_bits": 4, "latent_kappa_bits": 5.0},
            r"latent_kappa_bits is 5, expected 0 to latent_num_bits \(4\)",
        ),
        (
            {"model_type": "free_transformer", "latent_num_bits": 4, "num_hidden_layers": 1},
            "num_hidden_layers is 1, expected at least 2",
        ),
        ({"model_type": "qwen2", "num_key_value_heads": None}, "num_key_value_heads is missing"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=f"^folder/config.json.*{message}") as caught:
        parse_config(OLD_LLAMA | changes, "folder/config.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [
        BASELINE,
        LATENT,
        replace(BASELINE, latent=LatentConfig(num_bits=16)),
        replace(BASELINE, latent=LatentConfig(num_bits=3, kappa_bits=0.0), sliding_window=16, qk_norm=True),
        replace(BASELINE, qkv_bias=True),
        replace(BASELINE, qkv_bias=True, output_bias=True, mlp_bias=True),
        replace(BASELINE, qk_norm=True, tie_embeddings=True),
        replace(BASELINE, output_bias=True),
        replace(BASELINE, sliding_window=64, bos_token_id=None, eos_token_ids=()),
        replace(BASELINE, rope_scaling=RopeScaling(kind="linear", factor=2.0), eos_token_ids=(3, 4)),
        replace(BASELINE, rope_scaling=RopeScaling(kind="llama3", factor=8.0), rope_theta=5e5),
    ],
)
def test_a_config_comes_back_from_its_own_description(config: ModelConfig) -> None:
    assert parse_config(json.loads(json.dumps(to_hub(config))), "") == config
