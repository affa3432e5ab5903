"""The safetensors files of a checkpoint folder: which they are, what is in them, their digest. Never pickle.

Everything but `read_tensor` reads headers alone. Knows no model: which tensors should be there is `checkpoint.py`'s.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ft_eval.errors import CheckpointError
from ft_eval.model.hub_json import MAX_JSON_BYTES, read_json_object, readable, refuse_lfs_pointer

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_WATCHED = (".safetensors", ".json", *_PICKLES)
_FLOATS = ("F64", "F32", "F16", "BF16")
_CHUNK_BYTES = 2**20
_MAX_INDEX_BYTES = 10 * MAX_JSON_BYTES
_MAX_HEADER_BYTES = 100 * 2**20
"""safetensors' own limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """What a file's header says of one tensor."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """safetensors' spelling: F32, BF16, F16, ..."""
    file: Path


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The folder's safetensors files, by name: the one file, or the shards that the index names.

    Raises:
        CheckpointError: there are none, a shard is missing, or the index points outside the folder.
    """
    if (folder / WEIGHTS_FILE).is_file():
        return (folder / WEIGHTS_FILE,)
    if (folder / INDEX_FILE).is_file():
        shards = sorted(set(_weight_map(folder).values()))
        return tuple(_shard(folder, shard) for shard in shards)
    raise CheckpointError(_no_weights(folder))


def _weight_map(folder: Path) -> Mapping[str, str]:
    """The index: tensor name to shard name."""
    path = folder / INDEX_FILE
    weight_map = read_json_object(path, _MAX_INDEX_BYTES).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path}: weight_map is missing or empty, expected tensor names and their files")
    if not all(isinstance(shard, str) for shard in weight_map.values()):
        raise CheckpointError(f"{path}: weight_map must name a file for every tensor")
    return weight_map


def _shard(folder: Path, name: str) -> Path:
    index = folder / INDEX_FILE
    if Path(name).name != name or not name.endswith(".safetensors"):
        raise CheckpointError(f"{index} points to {name!r}, expected the name of a .safetensors file in its own folder")
    path = folder / name
    if not path.is_file():
        raise CheckpointError(f"{index} names the shard {name}, which is missing; download the folder again")
    return path


def _no_weights(folder: Path) -> str:
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
    if pickles:
        return (
            f"{folder} has its weights only as {pickles[0]}, a pickle, which can run code and is never loaded; convert "
            f'it once where you trust it: safetensors.torch.save_file(torch.load("{pickles[0]}", weights_only=True), '
            f'"{WEIGHTS_FILE}", metadata={{"format": "pt"}})'
        )
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    hint = f"; it has {others[0]}, which neither name nor index makes the model's" if others else ""
    return f"{folder} has no {WEIGHTS_FILE} and no {INDEX_FILE}{hint}"


@contextmanager
def _opened(path: Path, framework: str) -> Iterator[Any]:
    """A memory-mapped safetensors file."""
    refuse_lfs_pointer(path)
    try:
        with readable(path), safe_open(path, framework=framework, device="cpu") as file:
            yield file
    except SafetensorError as error:
        num_bytes = path.stat().st_size
        expected = _bytes_by_header(path)
        sizes = f"{num_bytes} bytes" + (
            f", its header describes {expected}" if expected not in (None, num_bytes) else ""
        )
        raise CheckpointError(
            f"{path} ({sizes}) is truncated or not a safetensors file: {_reason(error)}; copy or download it again"
        ) from error


def _bytes_by_header(path: Path) -> int | None:
    """How many bytes a file should have by its own header; None where it has none that can be read."""
    with readable(path), path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > min(_MAX_HEADER_BYTES, path.stat().st_size):
            return None
        try:
            header = json.loads(file.read(size))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            return 8 + size + max(int(end) for end in ends)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
            return None


def _reason(error: Exception) -> str:
    """What the library says, in at most 200 characters: it quotes the header."""
    return " ".join(str(error).split())[:200]


def inspect_weights(folder: Path) -> dict[str, TensorInfo]:
    """Every tensor in the folder's weights by name, read from the headers alone.

    Raises:
        CheckpointError: as `weight_files`; or a file is truncated, an LFS pointer, or disagrees with the index; or a
            tensor is in two files or is no float.
    """
    found: dict[str, TensorInfo] = {}
    for path in weight_files(folder):
        for info in _tensors_of(path):
            if info.name in found:
                raise CheckpointError(f"tensor {info.name} is in both {found[info.name].file.name} and {path}")
            if info.dtype not in _FLOATS:
                raise CheckpointError(
                    f"{path}: tensor {info.name} has type {info.dtype}, expected one of {', '.join(_FLOATS)}; "
                    "quantised weights are not supported"
                )
            found[info.name] = info
    _check_index(folder, found)
    return found


def _tensors_of(path: Path) -> Iterator[TensorInfo]:
    with _opened(path, "numpy") as file:
        for name in file.keys():  # noqa: SIM118 - a file, not a mapping
            part = file.get_slice(name)
            yield TensorInfo(name=name, shape=tuple(part.get_shape()), dtype=part.get_dtype(), file=path)


def _check_index(folder: Path, found: Mapping[str, TensorInfo]) -> None:
    """An index must put every tensor where it is."""
    if (folder / WEIGHTS_FILE).is_file():
        return
    for name, shard in _weight_map(folder).items():
        if name not in found or found[name].file.name != shard:
            raise CheckpointError(f"{folder / INDEX_FILE} puts tensor {name} in {shard}, where it is not")


def iterate_tensors(files: tuple[Path, ...]) -> Iterator[tuple[str, Any]]:
    """Name and torch tensor of every tensor in the files: views of the memory-mapped files, read when touched."""
    for path in files:
        with _opened(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - a file, not a mapping
                yield name, file.get_tensor(name)


Signature = tuple[tuple[str, int, int, int], ...]
"""Per file of a checkpoint its name, size, time of change in nanoseconds, and inode."""


def signature(path: Path) -> Signature:
    """What tells cheaply whether a checkpoint's files are still those that were read.

    Raises:
        CheckpointError: it can't be read any more.
    """
    with readable(path):
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        states = [(file.name, file.stat()) for file in files if file.suffix in _WATCHED]
    return tuple((name, state.st_size, state.st_mtime_ns, state.st_ino) for name, state in states)


def check_unchanged(path: Path, before: Signature) -> None:
    """Raise CheckpointError when a checkpoint is not what it was: its answers would be of two models."""
    now = signature(path)
    if now != before:
        changed = sorted({entry[0] for entry in set(now) ^ set(before)})
        raise CheckpointError(
            f"{path} was changed while it was in use ({', '.join(changed)}); the answers so far are kept: put it back "
            "and run the same command again, or evaluate the new files in a run of their own"
        )


def weights_digest(folder: Path) -> str:
    """sha256, hexadecimal, over the bytes of the folder's safetensors files in the order of their names.

    Raises:
        CheckpointError: as `weight_files`, or a file is an LFS pointer, can't be read, or changes meanwhile.
    """
    digest, before = hashlib.sha256(), signature(folder)
    for path in weight_files(folder):
        refuse_lfs_pointer(path)
        with readable(path), path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    check_unchanged(folder, before)
    return digest.hexdigest()
