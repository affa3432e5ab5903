"""The self-checks of a checkpoint on disk, on the CPU in float32. Prints nothing."""

from pathlib import Path

import torch

from ft_eval.model.adapters.opening import open_model
from ft_eval.model.adapters.selfcheck import Check, self_check


def check_checkpoint(path: Path, *, adapter: str | None = None) -> tuple[Check, ...]:
    """Open a checkpoint of any known layout, or through a model class, and check it.

    Raises:
        CheckpointError: it can't be used.
        UsageError: the adapter can't.
    """
    return self_check(open_model(path, adapter=adapter, dtype=torch.float32, device="cpu"))
