"""Files that torch.save wrote, read without running anything in them, and their tensors taken by name and shape.

Only `weights_only` reading: a file that holds more than tensors and plain values is refused. Knows no layout.
"""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError  # the name of an error: nothing is unpickled here

import torch
from torch import Tensor

from ft_eval.errors import CheckpointError
from ft_eval.model.hub_json import readable, refuse_lfs_pointer

TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")


def read_torch_file(path: Path) -> Mapping[str, object]:
    """The dictionary in a file of torch.save: tensors and plain values alone.

    Raises:
        CheckpointError: it can't be read, is damaged, holds code, or holds no dictionary.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file")
    refuse_lfs_pointer(path)
    try:
        with readable(path):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise CheckpointError(
            f"{path} is refused: it is damaged, or holds Python objects besides tensors, which could run code; "
            f"save it again as plain tensors ({_reason(error)})"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(
            f"{path} is truncated or not a file of torch.save: {_reason(error)}; copy or download it again"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(name, str) for name in loaded):
        raise CheckpointError(f"{path} holds a {type(loaded).__name__}, expected a dictionary of names")
    return loaded


def _reason(error: Exception) -> str:
    """The first sentence of what the library says."""
    text = " ".join(str(error).split())
    known = text.find("Unsupported global")
    text = text[known:] if known >= 0 else text
    return text.split(". ")[0][:160]


class TensorDict:
    """Tensors by name, each taken once with the shape it must have; what is left over is told."""

    def __init__(self, tensors: Mapping[str, object], where: str) -> None:
        """Wrap a state dictionary.

        Args:
            tensors: names and tensors.
            where: what an error line calls it.

        Raises:
            CheckpointError: a value is no tensor.
        """
        self.where = where
        self._left: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            if not isinstance(tensor, Tensor):
                raise CheckpointError(f"{where}: {name} is a {type(tensor).__name__}, expected a tensor")
            self._left[name] = tensor

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, *shape: int) -> Tensor:
        """The tensor of that name, in float32 unless it is narrower, finite.

        Raises:
            CheckpointError: it is missing, has another shape, or has numbers that are not finite.
        """
        tensor = self._left.pop(name, None)
        if tensor is None:
            raise CheckpointError(f"{self.where}: tensor {name} is missing, expected shape {list(shape)}")
        if tuple(tensor.shape) != shape:
            raise CheckpointError(
                f"{self.where}: tensor {name} has shape {list(tensor.shape)}, expected {list(shape)} from its config"
            )
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise CheckpointError(f"{self.where}: tensor {name} has numbers that are no finite floats")
        return tensor.float() if tensor.dtype is torch.float64 else tensor

    def finish(self) -> None:
        """Raise CheckpointError when a tensor was not taken: a part of the model would be lost."""
        if self._left:
            names = sorted(self._left)
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            raise CheckpointError(f"{self.where}: {len(names)} tensors are unknown ({shown}); it is another model's")
