"""A sharded checkpoint is used where it lies in its files: no second copy of its weights is made."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ft_eval.model.checkpoint import load_model
from tests.fakes import write_checkpoint

MAPS = Path("/proc/self/maps")


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """Three shards and their index."""
    folder = write_checkpoint(tmp_path / "latent", num_bits=5)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map = {name: f"model-{number % 3}.safetensors" for number, name in enumerate(names)}
    for file in set(weight_map.values()):
        save_file({name: tensors[name].clone() for name in names if weight_map[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def file_at(address: int) -> str:
    """The file that is mapped at an address of this process; empty where none is."""
    for line in MAPS.read_text().splitlines():
        span, *rest = line.split(maxsplit=5)
        first, stop = (int(end, 16) for end in span.split("-"))
        if first <= address < stop:
            return Path(rest[4]).name if len(rest) == 5 else ""
    return ""


@pytest.mark.skipif(not MAPS.exists(), reason="needs Linux's /proc/self/maps")
def test_every_weight_lies_in_its_shard_unless_its_type_is_changed(sharded: Path) -> None:
    weight_map = json.loads((sharded / "model.safetensors.index.json").read_text())["weight_map"]
    model = load_model(sharded, dtype=torch.float32)
    held = {name: file_at(tensor.data_ptr()) for name, tensor in model.state_dict().items() if name in weight_map}
    assert held == weight_map
    converted = load_model(sharded, dtype=torch.bfloat16)
    assert not any(file_at(tensor.data_ptr()) in weight_map.values() for tensor in converted.state_dict().values())
