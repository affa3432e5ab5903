"""Completions through the CPU's own kernels are those of PyTorch's operators, in any batch, order or restart."""

import random

import pytest
import torch

from ft_eval.engine import Engine, GenerationRequest, SamplingParams, ScoringRequest
from ft_eval.engine.layout import Layout, lay_out
from ft_eval.errors import UsageError
from ft_eval.model.config import LatentConfig, ModelConfig
from ft_eval.model.native.blocks import NativeBlocks
from ft_eval.model.native.build import Library, Unavailable, load_library
from ft_eval.model.native.linear import NativeLinear
from ft_eval.model.noise import NoiseKey
from ft_eval.model.tokenizer import BYTE_BOS, BYTE_EOS, Tokenizer
from ft_eval.model.training import new_model
from ft_eval.records import EngineOptions, LatentPolicy
from tests.fakes import write_checkpoint

needs_kernels = pytest.mark.skipif(
    not isinstance(load_library(), Library), reason=f"no kernels on this machine: {load_library()}"
)
CPU = Layout(device="cpu", is_int8=False, compile="on", num_docs=None)
HEAD = b"A head of more than two chunks that all questions begin with, long enough to be computed once: so it goes on."
POLICIES = [None, LatentPolicy(), LatentPolicy(shares_prefix=True)]
NAMES = ["baseline", "item", "shared"]


def model_of(policy, *, hidden_size=64):
    return new_model(
        ModelConfig(
            vocab_size=260,
            hidden_size=hidden_size,
            num_layers=4,
            num_heads=4,
            num_kv_heads=2,
            head_dim=16,
            intermediate_size=96,
            max_position_embeddings=400,
            tie_embeddings=True,
            bos_token_id=BYTE_BOS,
            eos_token_ids=(BYTE_EOS,),
            latent=None if policy is None else LatentConfig(num_bits=5),
        ),
        seed=3,
        std=0.3,
    )


def requests(temperature=0.0):
    rng = random.Random(0)
    prompts = [bytes(rng.choices(range(97, 123), k=rng.randint(1, 40))) for _ in range(12)]
    return [
        GenerationRequest(
            prompt=tuple(HEAD + prompt if index % 4 else prompt),
            params=SamplingParams(max_tokens=3 + 2 * index, temperature=temperature),
            noise=NoiseKey(seed=0, item=str(index)),
        )
        for index, prompt in enumerate(prompts)
    ]


def engine_of(folder, policy, *, layout=CPU, batch_size=None, prefix_cache=True):
    model = model_of(policy)
    steps = lay_out(model, layout)
    write_checkpoint(folder)
    options = EngineOptions(batch_size=batch_size, prefix_cache=prefix_cache)
    return Engine(model, Tokenizer.load(folder, model.config), latents=policy, options=options, steps=steps)


def completions(engine, asked, pending=None):
    found = {}
    engine.generate(asked, lambda index, completion: found.update({index: completion.token_ids}), pending=pending)
    return found


@needs_kernels
@pytest.mark.parametrize("policy", POLICIES, ids=NAMES)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_completions_are_those_of_the_models_own_forward_pass(tmp_path, policy, temperature):
    asked = requests(temperature)
    off = engine_of(tmp_path, policy, layout=Layout(device="cpu", is_int8=False, compile="off", num_docs=None))
    assert completions(engine_of(tmp_path, policy), asked) == completions(off, asked)


@needs_kernels
@pytest.mark.parametrize("policy", POLICIES, ids=NAMES)
def test_batch_order_restart_and_the_prefix_cache_change_no_token(tmp_path, policy):
    asked = requests()
    expected = completions(engine_of(tmp_path, policy, batch_size=32), asked)
    for batch_size in (1, 8):
        assert completions(engine_of(tmp_path, policy, batch_size=batch_size), asked) == expected
    backwards = completions(engine_of(tmp_path, policy, batch_size=8), asked[::-1])
    assert {len(asked) - 1 - index: tokens for index, tokens in backwards.items()} == expected
    rest = completions(engine_of(tmp_path, policy, batch_size=8), asked, pending=range(3, 9))
    assert rest == {index: expected[index] for index in range(3, 9)}
    assert completions(engine_of(tmp_path, policy, prefix_cache=False), asked) == expected


@needs_kernels
def test_a_rows_logits_have_the_same_bits_alone_and_in_a_batch(tmp_path, monkeypatch):
    """Stronger than equal tokens: every row of logits that a token is taken from."""
    from ft_eval.engine.generate import Generator

    seen: dict[int, list[torch.Tensor]] = {}
    append = Generator._append

    def spy(self, sequences, logits):
        for sequence, row in zip(sequences, logits, strict=True):
            seen.setdefault(sequence.index, []).append(row.clone())
        append(self, sequences, logits)

    monkeypatch.setattr(Generator, "_append", spy)
    asked, found = requests(), []
    for batch_size in (1, 8, 32):
        seen.clear()
        completions(engine_of(tmp_path, None, batch_size=batch_size), asked)
        found.append({index: torch.stack(rows) for index, rows in seen.items()})
    for other in found[1:]:
        assert all(torch.equal(found[0][index], other[index]) for index in range(len(asked)))


@needs_kernels
@pytest.mark.parametrize("policy", POLICIES, ids=NAMES)
def test_a_score_has_the_same_bits_in_any_batch_and_with_the_prefix_cache_off(tmp_path, policy):
    asked = [
        ScoringRequest(context=request.prompt, continuation=(97, 98), noise=request.noise) for request in requests()
    ]
    found = []
    for batch_size, prefix_cache in ((1, True), (8, True), (8, False)):
        scores: dict[int, float] = {}
        engine_of(tmp_path, policy, batch_size=batch_size, prefix_cache=prefix_cache).score(
            asked, lambda index, score, kept=scores: kept.update({index: score.total_nats})
        )
        found.append(scores)
    assert found[0] == found[1] == found[2]


def test_off_and_a_small_model_get_no_kernels():
    auto = Layout(device="cpu", is_int8=False, compile="auto", num_docs=None)
    assert lay_out(model_of(None), auto) is None
    large = model_of(None, hidden_size=256)
    assert lay_out(large, Layout(device="cpu", is_int8=False, compile="off", num_docs=None)) is None
    assert not any(isinstance(module, NativeLinear) for module in large.modules())


@needs_kernels
def test_auto_compiles_for_many_documents_and_not_for_two():
    def chosen(num_docs):
        return lay_out(
            model_of(None, hidden_size=256), Layout(device="cpu", is_int8=False, compile="auto", num_docs=num_docs)
        )

    assert chosen(2) is None
    assert isinstance(chosen(100_000), NativeBlocks)
    assert isinstance(chosen(None), NativeBlocks)


def test_what_can_not_be_compiled_is_one_clear_line(monkeypatch):
    monkeypatch.setattr("ft_eval.engine.layout.load_library", lambda: Unavailable("no C++ compiler is on the PATH"))
    with pytest.raises(UsageError, match="--compile on: no C\\+\\+ compiler is on the PATH"):
        lay_out(model_of(None), CPU)
    auto = Layout(device="cpu", is_int8=False, compile="auto", num_docs=None)
    assert lay_out(model_of(None, hidden_size=256), auto) is None
