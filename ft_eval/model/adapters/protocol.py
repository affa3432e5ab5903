"""What evaluation asks of a model, and how a class that offers it is found. Knows no layout and no mathematics.

`ft_eval.model.transformer.Transformer` offers all of it but `load`. Another model needs a class with
these methods; `base.AdaptedModel` writes half of them.

    B rows    T tokens    D hidden size    V vocabulary    H latent bits
"""

import importlib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from ft_eval.errors import UsageError, did_you_mean
from ft_eval.model.config import ModelConfig

ENTRY_POINT_GROUP = "ft_eval.models"


class ModelCache(Protocol):
    """What a model remembers of `num_rows` sequences between calls. `KVCache` is one."""

    @property
    def num_rows(self) -> int:
        """Sequences that fit."""

    def rows(self, start: int, stop: int) -> Self:
        """Rows start..stop-1 as a cache that shares this one's storage."""

    def move_row(self, src: int, dst: int, length: int) -> None:
        """Copy the first `length` positions of row src onto row dst."""


class LatentModel(Protocol):
    """A decoder with an optional latent: hidden = upper(lower(tokens), residual = post_sample(codes)).

    `positions` None is a prefill from position 0 on; (B, T) int64 is an extension of what the cache holds, as in
    `Transformer`.
    """

    @property
    def config(self) -> ModelConfig:
        """The model's facts. vocab_size, max_position_embeddings, the special tokens and latent must be true."""

    @property
    def dtype(self) -> torch.dtype:
        """The type of activations."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    def new_cache(self, num_rows: int, max_length: int) -> Any:
        """Make a `ModelCache` for that many sequences of at most that many tokens."""

    def __call__(
        self,
        token_ids: Tensor,
        *,
        codes: Tensor | None = None,
        positions: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """Hidden states (B, T, D) of token_ids (B, T), with codes (B, T) in [0, 2^H), or -1 where R = 0."""

    def lower(self, token_ids: Tensor, *, positions: Tensor | None = None, cache: Any = None) -> Tensor:
        """X (B, T, D): all that is computed before Z enters."""

    def upper(
        self,
        x: Tensor,
        *,
        residual: Tensor | None = None,
        positions: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """Hidden states (B, T, D) from X and R (B, T, D)."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores (..., V) of hidden states (..., D)."""

    def encode(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """Bit logits (B, T, H) of the posterior, from X of whole sequences."""

    def post_sample(self, codes: Tensor) -> Tensor:
        """R (B, T, D) for codes (B, T)."""


_METHODS = ("load", "__call__", "lower", "upper", "logits", "encode", "post_sample", "new_cache")


def find_class(name: str) -> type:
    """The model class of that name: an entry point of the group `ft_eval.models`, or `module:Class`.

    Raises:
        UsageError: there is none, it can't be imported, or a method is missing.
    """
    found = _from_module(name) if ":" in name else _from_entry_point(name)
    missing = [method for method in _METHODS if not hasattr(found, method)]
    if not isinstance(found, type) or missing:
        what = f"has no {', '.join(missing)}" if missing else "is not a class"
        raise UsageError(f"--adapter {name}: it {what}; see docs/adapters.md for what a model class must have")
    return found


def load_class(name: str, path: Path, *, dtype: torch.dtype, device: torch.device | str) -> Any:
    """A model of the named class, loaded from a path by its own `load`.

    Raises:
        UsageError: as `find_class`.
    """
    loader: Any = find_class(name)
    return loader.load(path, dtype=dtype, device=torch.device(device))


def _from_module(name: str) -> Any:
    module_name, _, class_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise UsageError(f"--adapter {name}: {module_name or 'the module'} can't be imported: {error}") from error
    found = getattr(module, class_name, None)
    if found is None:
        raise UsageError(f"--adapter {name}: {module_name} has no {class_name}{did_you_mean(class_name, vars(module))}")
    return found


def _from_entry_point(name: str) -> Any:
    points = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in points:
        known = f"installed: {', '.join(sorted(points))}" if points else "none is installed"
        raise UsageError(
            f"--adapter {name}: no entry point of the group {ENTRY_POINT_GROUP} has that name ({known})"
            f"{did_you_mean(name, points)}; a class of your own is given as module:Class"
        )
    try:
        return points[name].load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--adapter {name}: {points[name].value} can't be imported: {error}") from error
