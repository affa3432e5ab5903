"""What a checkpoint is, before it is loaded: shape, size, digest. One face for our folders and all others."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ft_eval.errors import remark
from ft_eval.model.adapters.facts import read_facts
from ft_eval.model.adapters.opening import Layout, identify
from ft_eval.model.checkpoint import WeightsCheck, check_weights, count_parameters, read_config, weights_digest
from ft_eval.model.config import ModelConfig
from ft_eval.model.tokenizer import Tokenizer
from ft_eval.plan.known_weights import KnownWeights, known_weights, remember_weights

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
_SMALL_FILES = ("config.json", "generation_config.json", *_TOKENIZER_FILES)

_MANY_ROWS = 1024
"""More than a table is padded by, in the habit of any family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFacts:
    """A checkpoint as a plan sees it."""

    config: ModelConfig
    num_parameters: int
    digest: str
    """sha256, hexadecimal, over all that changes its answers: weights, shape, tokenizer, adapter."""
    weights_digest: str
    """Over the weights alone, and the adapter's name where there is one."""
    tokenizer_digest: str
    """Over the tokenizer's files."""
    num_nonfinite: int = 0
    """Numbers in its weights that are NaN or infinite; above 0 where that was allowed alone."""


def checkpoint_facts(path: Path, adapter: str | None = None, *, allow_nonfinite: bool = False) -> CheckpointFacts:
    """Read a checkpoint through once: whatever is wrong with it is found here, before anything runs.

    Raises:
        CheckpointError: it can't be used; among others, weights that are not finite, or a tokenizer that is missing.
        UsageError: the adapter can't be found.
    """
    num_nonfinite = 0
    if adapter is None and _is_ours(path):
        config = read_config(path)
        weights, num_nonfinite = _weights(path, allow_nonfinite=allow_nonfinite)
        num_parameters, digest = weights.num_parameters, weights.digest
        _remark_on(path, WeightsCheck(num_nonfinite=num_nonfinite, constant=weights.constant))
    else:
        facts = read_facts(path, adapter=adapter)
        config, num_parameters, digest = facts.config, facts.num_parameters, facts.digest
    folder = tokenizer_folder(path)
    spare = config.vocab_size - Tokenizer.load(folder, config).vocab_size
    if spare >= _MANY_ROWS:
        remark(f"{path}: the model has {spare} more rows than its tokenizer has tokens; is the tokenizer its own?")
    return CheckpointFacts(
        config=config,
        num_parameters=num_parameters,
        digest=_with_files(folder, digest, _SMALL_FILES),
        weights_digest=digest,
        tokenizer_digest=_with_files(folder, "", _TOKENIZER_FILES),
        num_nonfinite=num_nonfinite,
    )


def _weights(folder: Path, *, allow_nonfinite: bool) -> tuple[KnownWeights, int]:
    """What the weights are, and how many are not finite; read through, unless these very files were before."""
    config_digest, num_nonfinite = _with_files(folder, "", _SMALL_FILES), 0
    if (known := known_weights(folder, config_digest)) is not None:
        return known, 0

    def read() -> KnownWeights:
        nonlocal num_nonfinite
        num_parameters, digest = count_parameters(folder), weights_digest(folder)
        check = check_weights(folder, allow_nonfinite=allow_nonfinite)
        num_nonfinite = check.num_nonfinite
        return KnownWeights(digest=digest, num_parameters=num_parameters, constant=check.constant)

    found = remember_weights(folder, config_digest, read, may_keep=lambda: not num_nonfinite)
    return found, num_nonfinite


def _remark_on(path: Path, check: WeightsCheck) -> None:
    if check.num_nonfinite:
        remark(f"{path}: {check.num_nonfinite} of its weights are NaN or infinite; it is evaluated as it is")
    if check.constant:
        names = ", ".join(check.constant[:3]) + (", ..." if len(check.constant) > 3 else "")
        remark(f"{path}: the same number stands in all places of {names}; was it trained?")


def read_shape(path: Path, adapter: str | None = None) -> ModelConfig:
    """A checkpoint's config alone. Raises as `checkpoint_facts`."""
    ours = adapter is None and _is_ours(path)
    return read_config(path) if ours else read_facts(path, adapter=adapter).config


def tokenizer_folder(path: Path) -> Path:
    """Where a checkpoint's tokenizer lies: its folder, or the folder its file is in."""
    return path if path.is_dir() else path.parent


def _is_ours(path: Path) -> bool:
    """A folder with a config.json that names no other layout; what is wrong with it, its own reader says best."""
    if not path.is_dir():
        return not path.is_file()
    return not (path / "config.json").is_file() or identify(path).layout is Layout.OURS


def _with_files(folder: Path, digest: str, names: Sequence[str]) -> str:
    whole = hashlib.sha256(digest.encode())
    for name in names:
        path = folder / name
        whole.update(f"\n{name}\n".encode() + (path.read_bytes() if path.is_file() else b""))
    return whole.hexdigest()
