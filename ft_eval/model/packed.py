"""Linear layers for inference on a CPU: oneDNN's packed weights, int8 weights, several layers as one product.

    R rows    K in_features    N out_features

A layer here has no parameters: its weights lie in an order of the kernel's own. So it can't be trained, saved, loaded
or moved, and says so where one tries. Knows no model: which layer becomes which is `packing.py`'s.
"""

import platform
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_PACKED_FOR_ROWS = 32
"""The batch that oneDNN lays the weights out for. The layout for 32 rows is the best or near it from 4 rows to 1,024;
that for 1 row is up to 1.4 times slower in fp32."""

INT8_MULTIPLE = 32
"""The int8 kernel reads past the end of weights whose in_features is no multiple of its vectors."""

_INT8_KERNEL_ROWS = 16
"""Up to so many rows the int8 kernel is the fastest; it reads the weights anew for every four of them."""


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this machine's oneDNN can multiply by packed weights of that type.

    x86 only: elsewhere oneDNN hands over to other libraries, whose rows were never looked at.
    """
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not has_onednn or platform.machine() not in ("x86_64", "AMD64"):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - there is no public way to ask
    return dtype == torch.float32


class InferenceLinear(nn.Module):
    """A linear layer without parameters. Its weights are plain attributes, so nothing of torch's finds them."""

    min_rows: ClassVar[int] = 4
    """Fewer rows are padded to this many: for one row oneDNN takes another kernel, which adds in another order."""

    def __init__(self, in_features: int, out_features: int, bias: Tensor | None) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self._bias = None if bias is None else bias.detach().clone()
        self.training = False

    @property
    def num_bytes(self) -> int:
        """Bytes of the weights."""
        raise NotImplementedError

    def _multiply(self, x: Tensor) -> Tensor:
        """(..., K), at least min_rows rows, to (..., N)."""
        raise NotImplementedError

    def product(self, x: Tensor) -> Tensor:
        """X W^T + b: (..., K) to (..., N), in batches of at least min_rows rows: fewer are padded with zero rows.

        Raises:
            RuntimeError: a gradient is asked for.
        """
        if x.requires_grad and torch.is_grad_enabled():
            raise RuntimeError(f"{type(self).__name__} has no gradient; {_LOAD_AGAIN}")
        num_rows = x.shape[:-1].numel()
        if num_rows >= self.min_rows:
            return self._multiply(x)
        padded = F.pad(x.reshape(num_rows, self.in_features), (0, 0, 0, self.min_rows - num_rows))
        return self._multiply(padded)[:num_rows].view(*x.shape[:-1], self.out_features)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's signature
        """Refuse training; `eval()` is fine.

        Raises:
            RuntimeError: mode is true.
        """
        if mode:
            raise RuntimeError(f"{type(self).__name__} can't be trained; {_LOAD_AGAIN}")
        return super().train(mode)

    def extra_repr(self) -> str:
        """What torch prints of the layer."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self._bias is not None}"

    def _save_to_state_dict(self, destination: Mapping[str, Any], prefix: str, keep_vars: bool) -> NoReturn:  # noqa: FBT001 - torch's
        raise RuntimeError(f"{prefix[:-1]} is packed for inference and can't be saved; {_LOAD_AGAIN}")

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: object) -> NoReturn:
        raise RuntimeError(f"{prefix[:-1]} is packed for inference and takes no weights; {_LOAD_AGAIN}")

    def _apply(self, fn: object, recurse: bool = True) -> NoReturn:  # noqa: FBT001, FBT002 - torch's signature
        raise RuntimeError(f"{type(self).__name__} can't be moved or converted; {_LOAD_AGAIN}")


_LOAD_AGAIN = "load the model again without packing"


class _OneDnnLinear(InferenceLinear):
    """A weight that oneDNN has laid out in blocks, fp32 or bf16."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight.shape[1], weight.shape[0], bias)
        self._weight = _reorder(weight.detach())

    @property
    def num_bytes(self) -> int:
        """Bytes of the weights, padding of the blocks included."""
        return int(torch.ops.mkldnn._nbytes(self._weight))  # noqa: SLF001 - as below

    def _multiply(self, x: Tensor) -> Tensor:
        return _onednn_linear(x, self._weight, self._bias)


class PackedLinear(_OneDnnLinear):
    """An nn.Linear with its weight packed; the original may be dropped."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear.weight, linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """X W^T + b: (..., K) to (..., N)."""
        return self.product(x)


class FusedLinear(_OneDnnLinear):
    """Several nn.Linear of one input as one product: query, key and value, or gate and up.

    In fp32 a row has the bits of separate packed layers; in bf16 on AMX a few outputs differ in the last bit.
    """

    def __init__(self, linears: Sequence[nn.Linear]) -> None:
        """Copy the layers' weights.

        Raises:
            ValueError: the layers have unlike inputs, or biases only in part.
        """
        if len({linear.in_features for linear in linears}) != 1:
            raise ValueError(f"in_features {[linear.in_features for linear in linears]}, expected one and the same")
        biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
        if len(biases) not in (0, len(linears)):
            raise ValueError(f"{len(biases)} of {len(linears)} layers have a bias, expected all or none")
        super().__init__(
            torch.cat([linear.weight.detach() for linear in linears]), torch.cat(biases) if biases else None
        )
        self._sizes = [linear.out_features for linear in linears]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Each layer's output (..., N_i) of x (..., K), in the layers' order: views of one tensor."""
        return torch.split(self.product(x), self._sizes, dim=-1)


class Int8Linear(InferenceLinear):
    """W ≈ diag(s) Q with Q int8 and one scale per output, s_n = max_k |W_nk| / 127; bf16 activations.

    Up to 16 rows the int8 kernel, beyond them Q as bf16, which is exact, and oneDNN's product: the kernel alone is ten
    times slower on hundreds of rows. The two differ in the last bit of one output in four.
    """

    def __init__(self, linear: nn.Linear) -> None:
        """Quantise the layer's weight.

        Raises:
            ValueError: the layer is not bf16, or its in_features is no multiple of INT8_MULTIPLE.
        """
        if linear.weight.dtype != torch.bfloat16 or linear.in_features % INT8_MULTIPLE:
            raise ValueError(
                f"a layer of {linear.weight.dtype} with {linear.in_features} inputs, expected bfloat16 and a multiple "
                f"of {INT8_MULTIPLE}"
            )
        super().__init__(linear.in_features, linear.out_features, linear.bias)
        self._weight, self._scales = quantise(linear.weight.detach())

    @property
    def num_bytes(self) -> int:
        """Bytes of the weights and their scales."""
        return self._weight.nbytes + self._scales.nbytes

    def _multiply(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self.in_features).contiguous()
        if len(rows) <= _INT8_KERNEL_ROWS:
            y: Tensor = torch.ops.aten._weight_int8pack_mm(rows, self._weight, self._scales)  # noqa: SLF001 - as below
        else:
            y = F.linear(rows, self._weight.to(x.dtype)) * self._scales
        if self._bias is not None:
            y = y + self._bias
        return y.view(*x.shape[:-1], self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        """X (diag(s) Q)^T + b: (..., K) to (..., N)."""
        return self.product(x)


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Q (N, K) int8 in [-127, 127] and scales s (N,) of the weight's type, such that diag(s) Q ≈ weight (N, K).

    Q is rounded by the scales as they are stored, not as they were before rounding.
    """
    scales = (weight.float().abs().amax(dim=1) / 127).clamp_min(torch.finfo(torch.float32).tiny).to(weight.dtype)
    quotient = weight.float() / scales.float()[:, None]
    return quotient.round().clamp(-127, 127).to(torch.int8), scales


def _reorder(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _PACKED_FOR_ROWS)  # noqa: SLF001 - as below
    return packed


def _onednn_linear(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    """What torch.compile emits for a frozen linear layer; torch has no public name for it."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")  # noqa: SLF001 - see above
    return y
