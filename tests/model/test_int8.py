"""int8 weights: within half a step of the weights, the same bits for a row, and only where their kernel takes them."""

from dataclasses import replace

import pytest
import torch

from ft_eval.errors import EngineError
from ft_eval.model.packed import Int8Linear, quantise
from ft_eval.model.packing import (
    Numerics,
    PackingOptions,
    pack_linears,
)
from tests.model.linears import (
    WIDE,
    logits,
    needs_packing,
    packed_and_plain,
    random_linear,
    random_rows,
    relative_error,
)
from tests.model.tiny import LATENT, random_tokens, tiny_model

pytestmark = needs_packing


def test_quantised_weights_are_within_half_a_step_of_the_weights():
    weight = random_linear(40, 64, dtype=torch.bfloat16).weight.clone()
    weight[3] = 0.0
    Q, scales = quantise(weight)
    gap = (Q.double() * scales.double()[:, None] - weight.double()).abs()
    assert bool((gap <= 0.5 * scales.double()[:, None] * (1 + 2**-6) + 127 * scales.double()[:, None] * 2**-9).all())
    assert not Q[3].any()
    assert Q.abs().amax() == 127


@pytest.mark.parametrize("num_rows", [1, 2, 4, 8, 16, 17, 40])
@pytest.mark.parametrize("bias", [False, True])
def test_an_int8_layer_equals_the_dequantised_one(num_rows, bias):
    linear = random_linear(96, 192, dtype=torch.bfloat16, bias=bias)
    Q, scales = quantise(linear.weight)
    x = random_rows(num_rows, 192, dtype=torch.bfloat16)
    exact = x.double() @ (Q.double() * scales.double()[:, None]).T + (linear.bias.double() if bias else 0.0)
    assert relative_error(Int8Linear(linear)(x), exact) < 2**-7


def test_an_int8_rows_bits_are_the_same_in_batches_of_up_to_16_rows():
    layer = Int8Linear(random_linear(96, 192, dtype=torch.bfloat16))
    x = random_rows(16, 192, dtype=torch.bfloat16)
    for count in range(1, 16):
        assert torch.equal(layer(x[:count].clone()), layer(x)[:count]), count


def test_int8_takes_the_decoders_blocks_alone_and_half_their_memory():
    options = PackingOptions(numerics=Numerics.INT8)
    packed, plain, report = packed_and_plain(WIDE, dtype=torch.bfloat16, options=options)
    int8 = [name for name, module in packed.named_modules() if isinstance(module, Int8Linear)]
    assert len(int8) == 7 * WIDE.num_layers
    assert all(name.startswith("model.layers.") for name in int8)
    num_weights = sum(plain.get_submodule(name).weight.numel() for name in int8)
    num_bytes = sum(packed.get_submodule(name).num_bytes for name in int8)
    assert num_weights < num_bytes < 1.01 * num_weights
    assert report.numerics is Numerics.INT8


def test_an_int8_model_stays_near_the_exact_one():
    options = PackingOptions(numerics=Numerics.INT8)
    packed, plain, _ = packed_and_plain(WIDE, dtype=torch.bfloat16, options=options)
    assert relative_error(logits(packed, random_tokens(3, 20)), logits(plain, random_tokens(3, 20))) < 0.05


def test_int8_refuses_what_its_kernel_can_not_take():
    """The kernel would read past the end of weights whose inputs are no multiple of its vectors."""
    with pytest.raises(ValueError, match="172 inputs, expected bfloat16 and a multiple of 32"):
        Int8Linear(random_linear(64, 172, dtype=torch.bfloat16))
    with pytest.raises(EngineError, match="int8 weights need bfloat16 activations, and the model is float32"):
        pack_linears(tiny_model(), PackingOptions(numerics=Numerics.INT8))
    odd = replace(LATENT, intermediate_size=44)
    packed, _, _ = packed_and_plain(odd, dtype=torch.bfloat16, options=PackingOptions(numerics=Numerics.INT8))
    assert not isinstance(packed.model.layers[0].mlp.down_proj, Int8Linear)
    assert isinstance(packed.model.layers[0].mlp.up_proj, Int8Linear)
