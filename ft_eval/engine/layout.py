"""How a loaded model's weights are laid out for its device, and what decodes with them. Knows no checkpoint and no run.

CPU, AVX-512, a C++ compiler   the project's own kernels (`model/native/`), for products and for decoding
CPU otherwise                  oneDNN's packed weights, PyTorch's operators
GPU                            as loaded
"""

from dataclasses import dataclass

from ft_eval.engine.steps import StepCompiler
from ft_eval.errors import UsageError
from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.native.blocks import NativeBlocks
from ft_eval.model.native.build import Library, Unavailable, load_library
from ft_eval.model.native.prefill import install
from ft_eval.model.packing import Numerics, PackingOptions, pack_linears
from ft_eval.model.transformer import Transformer

_MIN_HIDDEN_SIZE = 256
"""Smaller models gain nothing by packed weights: a call's fixed cost is more than the product's."""

_BUILD_SECONDS = 3.0
"""What compiling the kernels takes at most, once per machine."""
_TOKENS_PER_DOC = 64
_BYTES_PER_SECOND = 1e11
"""The weights' bytes over this are about the seconds that the kernels save per decoded token: 22 ms of 36 for 440 MB in
a batch of one, 1 ms in one of 32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What is asked for."""

    device: str
    is_int8: bool
    """Whether the decoder blocks' weights are to be int8."""
    compile: str
    """auto, on or off: whether the project's own kernels are used."""
    num_docs: int | None
    """Documents to be answered; None: not known, taken as many."""


def lay_out(model: LatentModel, layout: Layout) -> StepCompiler | None:
    """Lay out a model's weights in place; what decodes faster than its own forward pass, where something does.

    What is chosen hangs on the request, the model and the machine, never on what was compiled before: a run that goes
    on gives the bits of one that was never stopped.

    Raises:
        UsageError: int8 on a GPU, or for a model of an adapter; kernels that are asked for and can't be compiled.
    """
    own = model if isinstance(model, Transformer) and type(model) is Transformer else None
    if layout.is_int8 and (layout.device != "cpu" or own is None):
        raise UsageError(
            f"--dtype int8 on {layout.device}: int8 weights are for the CPU and for checkpoints of our own layout"
        )
    if own is None or layout.device != "cpu":
        return None
    library = _library(own, layout)
    numerics = Numerics.INT8 if layout.is_int8 else Numerics.EXACT
    if library is not None or layout.is_int8 or own.config.hidden_size >= _MIN_HIDDEN_SIZE:
        pack_linears(own, PackingOptions(numerics=numerics, library=library))
    blocks = None if library is None else NativeBlocks.of(own, library)
    if blocks is not None:
        install(blocks)
    return blocks


def _library(model: Transformer, layout: Layout) -> Library | None:
    """The project's own kernels, where they are to be used for this model."""
    if layout.compile == "off" or (layout.compile == "auto" and not _pays_back(model, layout.num_docs)):
        return None
    library = load_library()
    if not isinstance(library, Unavailable):
        return library
    if layout.compile == "on":
        raise UsageError(f"--compile on: {library.reason}; leave it out to use PyTorch's own kernels")
    return None


def _pays_back(model: Transformer, num_docs: int | None) -> bool:
    """Whether the kernels save more than the seconds that compiling them may take."""
    if model.config.hidden_size < _MIN_HIDDEN_SIZE:
        return False
    num_bytes = sum(parameter.nbytes for parameter in model.parameters())
    return num_docs is None or num_docs * _TOKENS_PER_DOC * num_bytes / _BYTES_PER_SECOND > _BUILD_SECONDS
