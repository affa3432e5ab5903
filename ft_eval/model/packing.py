"""Repacking a loaded model's linear layers for a CPU, and the record of what was chosen.

Which kernel a layer gets is a rule, not a race. Two kernels round differently, so a choice by stopwatch would let the
load of the machine into the answers, and keeping it on disk would help only where the disk is kept. What is measured
at load is bits, which are the same every time: one thread, each shape once, 0.4 s in bf16 for those of an 8B model.

    1. does a row keep its bits with 4, 12, 16, 32 and 48 rows in the batch?   F.linear | packed
    2. packed, where F.linear does not and packed does; or where neither is steadier and the layer is big enough to gain

All linear layers of a Llama of 100M parameters, packed against F.linear, torch 2.13, one thread (above 1: faster):

    rows in the batch       4     8     16    32    64    256   1024
    Intel, AMX, fp32        1.3   1.6   1.3   1.3   1.2   1.0   1.0
    Intel, AMX, bf16        1.3   1.3   1.3   1.1   1.6   1.3   1.0
    AMD, AVX-512, fp32            2.2         2.5
    AMD, AVX-512, bf16            1.7         1.3

fp32 rows: F.linear (MKL) on Intel has other bits below 16 rows than above and, with two threads, in further classes;
on AMD they are the same from 4 rows on. Packed, they are the same for any number of rows, for one thread and two, and
so in decoding and in prefill. bf16 rows: on AMX either kernel gives one output in 10,000 another last bit in a batch
of more than 32 rows, and the two agree with each other; on AMD both are steady.
`benchmarks/packing.py` measures this. MKL's own packed weights, a little faster still on Intel, are no candidate: they
are laid out for one number of rows and need the plain weights beside them.

Where the project's own kernels are at hand (`native/`), every layer gets them without a trial: each output is one sum
in one order at any number of rows, and they are no slower (docs/cpu.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import torch
from torch import nn

from ft_eval.errors import EngineError
from ft_eval.model.native.build import Library
from ft_eval.model.native.linear import NativeLinear
from ft_eval.model.native.memory import Arena
from ft_eval.model.packed import INT8_MULTIPLE, InferenceLinear, Int8Linear, PackedLinear, can_pack
from ft_eval.model.steadiness import unsteady_row_counts
from ft_eval.model.transformer import Transformer

READOUT = "lm_head"
DECODER = "model.layers."

_SMALL_FP32_WEIGHT = 2**18
"""Below so many numbers a call's fixed cost, 20 µs more for a packed fp32 layer, outweighs the faster product. In bf16
F.linear goes through oneDNN as well and costs as much."""


class Numerics(StrEnum):
    """How weights are kept."""

    EXACT = "exact"
    """As loaded; only the order of sums may differ."""
    INT8 = "int8"
    """The decoder blocks' weights as int8 with a scale per output: half the memory of bf16, other answers."""


class Kernel(StrEnum):
    """What multiplies."""

    PLAIN = "plain"
    """F.linear: the layer is left as it is."""
    PACKED = "packed"
    """oneDNN's."""
    NATIVE = "native"
    """The project's own, `model/native/`."""
    INT8 = "int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingOptions:
    """What may be done to a model's linear layers."""

    numerics: Numerics = Numerics.EXACT
    max_readout_copy_bytes: int = 2**30
    """A tied readout is packed beside the embedding's table, which stays as it is: vocab_size · hidden_size numbers
    more (98 MB for 32,000 × 768 in fp32, 525 MB for 128,256 × 2,048 in bf16). Above so many bytes it is left plain;
    0 never copies. A readout of its own costs nothing."""
    library: Library | None = None
    """The project's own kernels, which then are what multiplies; None for oneDNN's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeChoice:
    """What the layers of one shape got, and why."""

    in_features: int
    out_features: int
    num_layers: int
    kernel: Kernel
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingReport:
    """What was done to a model's linear layers."""

    dtype: str
    numerics: Numerics
    cpu_capability: str
    """The vector instructions torch uses here, such as AVX512."""
    choices: tuple[ShapeChoice, ...]
    num_bytes: int
    """Bytes of the weights that were packed, in their new form."""
    readout_copy_bytes: int
    """Bytes of a tied readout's copy, 0 where there is none."""

    def kernel_of(self, out_features: int, in_features: int) -> Kernel:
        """The kernel of the first layers listed of that shape.

        Raises:
            KeyError: the model has no such layer.
        """
        for choice in self.choices:
            if (choice.out_features, choice.in_features) == (out_features, in_features):
                return choice.kernel
        raise KeyError(f"no linear layer of {out_features} × {in_features}")

    def summary(self) -> str:
        """One line: kernels, how many layers of each, and the copy's size."""
        counts = {kernel: sum(c.num_layers for c in self.choices if c.kernel is kernel) for kernel in Kernel}
        parts = [f"{count} {kernel}" for kernel, count in counts.items() if count]
        copy = f", readout copied ({self.readout_copy_bytes / 1e6:.0f} MB)" if self.readout_copy_bytes else ""
        return f"linear layers ({self.dtype}, {self.cpu_capability}): {', '.join(parts)}{copy}"


@dataclass(frozen=True, slots=True)
class _Layer:
    """Where a layer is. Holds no weights, so that these can go as soon as they are packed."""

    name: str
    out_features: int
    in_features: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.out_features, self.in_features


@dataclass(frozen=True, slots=True)
class _Verdict:
    kernel: Kernel
    reason: str


@torch.no_grad()
def pack_linears(model: Transformer, options: PackingOptions | None = None) -> PackingReport:
    """Replace the model's linear layers in place by the fastest that keep its rows' bits; forward stays as it is.

    Layer by layer: the most that is held twice is one layer's weight. Weights that were memory-mapped become private
    memory, so processes no longer share them. A packed model is for inference alone: its packed layers have no
    parameters (`named_parameters` and `state_dict` would miss them), so saving, training, moving and loading weights
    raise RuntimeError. A second call finds nothing left to pack.

    Args:
        model: a loaded model on the CPU, in eval mode.
        options: None for the defaults.

    Raises:
        EngineError: the model is on another device, or int8 was asked for and its type isn't bfloat16.
    """
    options = options or PackingOptions()
    _check(model, options)
    layers = [
        _Layer(name, module.out_features, module.in_features)
        for name, module in model.named_modules()
        if type(module) is nn.Linear
    ]
    tied = model.config.tie_embeddings
    verdicts = _verdicts(model, layers, options)
    makers = _makers(options.library)
    num_bytes = {layer.name: _replace(model, layer, makers.get(verdicts[layer].kernel)) for layer in layers}
    return PackingReport(
        dtype=str(model.dtype).removeprefix("torch."),
        numerics=options.numerics,
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        choices=_tally(verdicts),
        num_bytes=sum(num_bytes.values()),
        readout_copy_bytes=num_bytes.get(READOUT, 0) if tied else 0,
    )


def choose_kernel(linear: nn.Linear) -> Kernel:
    """PLAIN or PACKED for a layer on the CPU, by the rule above: on one machine the same in every run."""
    return _choose(linear).kernel


def _check(model: Transformer, options: PackingOptions) -> None:
    if model.device.type != "cpu":
        raise EngineError(f"packed layers are for the CPU, and the model is on {model.device}; leave packing out there")
    if options.numerics is Numerics.INT8 and model.dtype != torch.bfloat16:
        raise EngineError(
            f"int8 weights need bfloat16 activations, and the model is {str(model.dtype).removeprefix('torch.')}; "
            "choose --dtype bfloat16"
        )


def _verdicts(model: Transformer, layers: list[_Layer], options: PackingOptions) -> dict[_Layer, _Verdict]:
    """Every layer's kernel; a shape is tried once, so the layers of a shape that are chosen freely get the same."""
    tried: dict[tuple[int, int], _Verdict] = {}
    verdicts = {}
    for layer in layers:
        given = _given(model, layer, options)
        if given is None and layer.shape not in tried:
            tried[layer.shape] = _choose(_linear(model, layer))
        verdicts[layer] = given or tried[layer.shape]
    return verdicts


def _given(model: Transformer, layer: _Layer, options: PackingOptions) -> _Verdict | None:
    """What the options alone decide."""
    if layer.name == READOUT and model.config.tie_embeddings:
        num_bytes = layer.out_features * layer.in_features * model.dtype.itemsize
        if num_bytes > options.max_readout_copy_bytes:
            return _Verdict(Kernel.PLAIN, f"tied, and a copy would take {num_bytes / 1e6:.0f} MB")
    fits = layer.in_features % INT8_MULTIPLE == 0
    if options.numerics is Numerics.INT8 and layer.name.startswith(DECODER) and fits:
        return _Verdict(Kernel.INT8, "asked for")
    if options.library is not None and options.library.supports(model.dtype):
        return _Verdict(Kernel.NATIVE, "no row's bits hang on its batch")
    return None


def _choose(linear: nn.Linear) -> _Verdict:
    dtype = linear.weight.dtype
    if not can_pack(dtype):
        return _Verdict(Kernel.PLAIN, f"oneDNN packs no {str(dtype).removeprefix('torch.')} here")
    plain, packed = unsteady_row_counts(linear)
    if not packed <= plain:
        return _Verdict(Kernel.PLAIN, "packed, a row's bits would hang on its batch")
    if packed < plain:
        return _Verdict(Kernel.PACKED, "a row keeps its bits in any batch, unlike F.linear's")
    if dtype == torch.float32 and linear.weight.numel() < _SMALL_FP32_WEIGHT:
        return _Verdict(Kernel.PLAIN, "too small to gain")
    return _Verdict(Kernel.PACKED, "faster, and no row's bits hang more on its batch")


def _linear(model: nn.Module, layer: _Layer) -> nn.Linear:
    module = model.get_submodule(layer.name)
    assert isinstance(module, nn.Linear), f"{layer.name} was a linear layer a moment ago"
    return module


def _makers(library: Library | None) -> dict[Kernel, Callable[[nn.Linear], InferenceLinear]]:
    """What makes a layer of each kernel; a plain layer is left as it is."""
    makers: dict[Kernel, Callable[[nn.Linear], InferenceLinear]] = {
        Kernel.PACKED: PackedLinear,
        Kernel.INT8: Int8Linear,
    }
    if library is not None:
        makers[Kernel.NATIVE] = partial(NativeLinear, library=library, arena=Arena())
    return makers


def _replace(model: nn.Module, layer: _Layer, make: Callable[[nn.Linear], InferenceLinear] | None) -> int:
    """Put a new layer into the model in the old one's place; bytes of its weights, 0 where it stays plain."""
    if make is None:
        return 0
    packed = make(_linear(model, layer))
    parent, _, attribute = layer.name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, packed)
    return packed.num_bytes


def _tally(verdicts: dict[_Layer, _Verdict]) -> tuple[ShapeChoice, ...]:
    """The choices, layers of one shape and one verdict together, in the model's order."""
    counts: dict[tuple[tuple[int, int], _Verdict], int] = {}
    for layer, verdict in verdicts.items():
        counts[layer.shape, verdict] = counts.get((layer.shape, verdict), 0) + 1
    return tuple(
        ShapeChoice(
            out_features=shape[0],
            in_features=shape[1],
            num_layers=count,
            kernel=verdict.kernel,
            reason=verdict.reason,
        )
        for (shape, verdict), count in counts.items()
    )
