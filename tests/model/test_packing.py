"""Packed linear layers against F.linear, on shapes whose F.linear depends on the batch where the machine's does."""

import weakref
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ft_eval.errors import EngineError
from ft_eval.model.checkpoint import save_model
from ft_eval.model.packed import FusedLinear, InferenceLinear, PackedLinear
from ft_eval.model.packing import (
    READOUT,
    Kernel,
    PackingOptions,
    choose_kernel,
    pack_linears,
)
from ft_eval.model.steadiness import unsteady_row_counts
from ft_eval.model.transformer import Transformer
from tests.model.linears import (
    WIDE,
    calm_model,
    logits,
    needs_bf16,
    needs_packing,
    packed_and_plain,
    random_linear,
    random_rows,
    relative_error,
)
from tests.model.tiny import BASELINE, random_codes, random_tokens

ROW_COUNTS = (1, 2, 3, 4, 5, 8, 12, 15, 16, 20, 33, 64, 100, 256)

pytestmark = needs_packing


@pytest.mark.parametrize("shape", [(768, 768), (61, 32), (100, 300), (768, 2048)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_packed_layer_equals_the_plain_one(shape, bias):
    linear = random_linear(*shape, bias=bias)
    for num_rows in ROW_COUNTS:
        x = random_rows(num_rows, shape[1])
        assert relative_error(PackedLinear(linear)(x), F.linear(x, linear.weight, linear.bias)) < 1e-5


@needs_bf16
@pytest.mark.parametrize("shape", [(768, 768), (61, 32), (768, 2048)])
def test_a_packed_bf16_layer_is_within_a_rounding_of_the_exact_product(shape):
    linear = random_linear(*shape, dtype=torch.bfloat16)
    x = random_rows(40, shape[1], dtype=torch.bfloat16)
    assert relative_error(PackedLinear(linear)(x), x.double() @ linear.weight.double().T) < 2**-8


@pytest.mark.parametrize("shape", [(768, 768), (256, 768), (768, 2048), (64, 172), (100, 300)])
def test_a_packed_rows_bits_depend_on_no_other_row(shape):
    """One row alone, decoding and prefill: any number of rows, at any place, with any number of threads."""
    layer = PackedLinear(random_linear(*shape))
    x = random_rows(max(ROW_COUNTS), shape[1])
    whole = layer(x)
    before = torch.get_num_threads()
    try:
        for num_threads in (1, 2):
            torch.set_num_threads(num_threads)
            for count in ROW_COUNTS:
                assert torch.equal(layer(x[:count].clone()), whole[:count]), (num_threads, count)
                assert torch.equal(layer(x[-count:].clone()), whole[-count:]), (num_threads, count)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (1, 1, 2), (1, 0)])
def test_leading_dimensions_and_strides_are_free(shape):
    linear = random_linear(48, 32, bias=True)
    x = random_rows(*shape, 2, 32)[..., 1, :]
    got = PackedLinear(linear)(x)
    assert got.shape == (*shape, 48)
    torch.testing.assert_close(got, F.linear(x, linear.weight, linear.bias), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("config", [WIDE, replace(WIDE, latent=None, qkv_bias=True)])
@pytest.mark.parametrize("tie", [False, True])
def test_a_packed_model_gives_the_plain_ones_logits(config, tie):
    packed, plain, report = packed_and_plain(replace(config, tie_embeddings=tie))
    assert report.kernel_of(512, 512) is choose_kernel(plain.get_submodule("model.layers.0.self_attn.q_proj"))
    tokens = random_tokens(3, 20)
    assert relative_error(logits(packed, tokens), logits(plain, tokens)) < 1e-5


def test_a_packed_model_encodes_as_the_plain_one():
    packed, plain, _ = packed_and_plain(WIDE)
    tokens = random_tokens(4, 9)
    with torch.inference_mode():
        bit_logits, expected = (model.encode(model.lower(tokens)) for model in (packed, plain))
    assert relative_error(bit_logits, expected) < 1e-5


def test_a_packed_models_cached_step_gives_the_prefills_hidden_states():
    packed, _, _ = packed_and_plain(WIDE)
    tokens, codes = random_tokens(4, 9), random_codes(4, 9)
    with torch.inference_mode():
        whole = packed(tokens, codes=codes)
        cache = packed.new_cache(4, 9)
        packed(tokens[:, :8], codes=codes[:, :8], cache=cache)
        step = packed(tokens[:, 8:], codes=codes[:, 8:], positions=torch.full((4, 1), 8), cache=cache)
    assert relative_error(step[:, 0], whole[:, 8]) < 1e-5


@needs_bf16
def test_a_packed_bf16_model_stays_near_the_fp32_one():
    """No further from fp32 than the plain bf16 model, give or take."""
    packed, plain, _ = packed_and_plain(WIDE, dtype=torch.bfloat16)
    exact = logits(deepcopy(plain).float(), random_tokens(3, 20))
    error, plain_error = (relative_error(logits(model, random_tokens(3, 20)), exact) for model in (packed, plain))
    assert error < 1.5 * plain_error


def test_the_choice_is_the_same_every_time():
    first, second = (packed_and_plain(WIDE)[2] for _ in range(2))
    assert first == second


def test_a_layer_is_packed_only_where_no_rows_bits_suffer():
    linear = random_linear(768, 768)
    plain, packed = unsteady_row_counts(linear)
    assert choose_kernel(linear) is (Kernel.PACKED if packed <= plain else Kernel.PLAIN)


def test_the_choice_leaves_the_number_of_threads_alone():
    before = torch.get_num_threads()
    choose_kernel(random_linear(64, 64))
    assert torch.get_num_threads() == before


def test_a_type_that_can_not_be_packed_stays_plain():
    packed, plain, report = packed_and_plain(WIDE, dtype=torch.float64)
    assert {choice.kernel for choice in report.choices} == {Kernel.PLAIN}
    assert torch.equal(logits(packed, random_tokens(2, 8)), logits(plain, random_tokens(2, 8)))


def test_the_report_counts_every_layer_and_the_second_call_finds_none():
    model = calm_model(WIDE)
    num_linears = sum(type(module) is nn.Linear for module in model.modules())
    report = pack_linears(model)
    num_plain = sum(choice.num_layers for choice in report.choices if choice.kernel is Kernel.PLAIN)
    assert sum(choice.num_layers for choice in report.choices) == num_linears
    again = pack_linears(model)
    assert sum(choice.num_layers for choice in again.choices) == num_plain
    assert again.num_bytes == 0
    assert str(num_linears - num_plain) in report.summary()


def test_the_plain_weights_are_freed():
    model = calm_model(replace(WIDE, tie_embeddings=False))
    weights = [weakref.ref(m.weight) for m in model.modules() if type(m) is nn.Linear and m.weight.numel() >= 2**18]
    assert weights
    report = pack_linears(model)
    assert all(weight() is None for weight in weights)
    assert report.num_bytes >= 2**18 * 4 * len(weights)


def test_a_tied_readout_is_copied_only_up_to_the_size_allowed():
    config = replace(WIDE, tie_embeddings=True, vocab_size=700)
    copied, model, report = packed_and_plain(config)
    assert report.readout_copy_bytes >= 700 * 512 * 4
    assert isinstance(copied.get_submodule(READOUT), PackedLinear)
    assert torch.equal(copied.model.embed_tokens.weight, model.model.embed_tokens.weight)
    left, _, report = packed_and_plain(config, options=PackingOptions(max_readout_copy_bytes=700 * 512 * 4 - 1))
    assert report.readout_copy_bytes == 0
    assert report.kernel_of(700, 512) is Kernel.PLAIN
    assert left.lm_head.weight is left.model.embed_tokens.weight


def test_saving_a_packed_model_is_refused(tmp_path):
    packed, _, _ = packed_and_plain(WIDE)
    with pytest.raises(RuntimeError, match=r"q_proj is packed for inference and can't be saved; load the model again"):
        packed.state_dict()
    with pytest.raises(RuntimeError, match="can't be saved"):
        save_model(packed, tmp_path / "saved")
    assert not list((tmp_path / "saved").glob("*.safetensors"))


def test_loading_and_moving_a_packed_model_are_refused():
    packed, plain, _ = packed_and_plain(WIDE)
    with pytest.raises(RuntimeError, match="takes no weights"):
        packed.load_state_dict(plain.state_dict())
    with pytest.raises(RuntimeError, match="can't be moved or converted"):
        packed.to(torch.bfloat16)


def test_training_a_packed_model_is_refused():
    packed, _, _ = packed_and_plain(WIDE)
    with pytest.raises(RuntimeError, match="can't be trained"):
        packed.train()
    assert packed.eval() is packed
    packed.requires_grad_()
    with pytest.raises(RuntimeError, match="has no gradient"):
        packed(random_tokens(1, 4), codes=random_codes(1, 4))


def test_another_device_is_refused():
    with torch.device("meta"):
        model = Transformer(BASELINE)
    with pytest.raises(EngineError, match="for the CPU, and the model is on meta"):
        pack_linears(model)


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_bf16)])
def test_fused_layers_give_each_layers_output(dtype):
    linears = [random_linear(size, 256, dtype=dtype, bias=True, seed=size) for size in (256, 64, 64)]
    fused = FusedLinear(linears)
    for num_rows in (1, 4, 32):
        x = random_rows(num_rows, 256, dtype=dtype)
        for got, linear in zip(fused(x), linears, strict=True):
            expected = PackedLinear(linear)(x)
            if dtype == torch.float32:
                assert torch.equal(got, expected)
            else:
                assert relative_error(got, expected) < 2**-8


def test_layers_that_do_not_belong_together_are_not_fused():
    with pytest.raises(ValueError, match="one and the same"):
        FusedLinear([random_linear(8, 32), random_linear(8, 64)])
    with pytest.raises(ValueError, match="1 of 2 layers have a bias"):
        FusedLinear([random_linear(8, 32), random_linear(8, 32, bias=True)])


def test_an_empty_batch_is_an_empty_answer():
    layer: InferenceLinear = PackedLinear(random_linear(8, 32))
    assert layer(torch.empty(0, 32)).shape == (0, 8)
