"""What the user names becomes checkpoints with their pairs, or one clear line."""

import json
import shutil
from pathlib import Path

import pytest

from ft_eval.errors import CheckpointError, ConfigError, FtEvalError, UsageError
from ft_eval.plan.resolve import resolve_checkpoints
from ft_eval.records import Arm
from tests.fakes import write_checkpoint


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A folder with a baseline and a latent checkpoint."""
    folder = tmp_path_factory.mktemp("models")
    write_checkpoint(folder / "base")
    write_checkpoint(folder / "latent", num_bits=3)
    return folder


@pytest.fixture
def folder(models, tmp_path) -> Path:
    return Path(shutil.copytree(models, tmp_path / "models"))


def resolve(*names, file=None, dtype="auto"):
    return resolve_checkpoints(tuple(map(str, names)), file, dtype)


def test_a_folder_of_checkpoints_is_all_of_them_baselines_first(folder):
    base, latent = resolve(folder)
    assert (base.name, base.arm, base.num_latent_bits) == ("base", Arm.BASELINE, None)
    assert (latent.name, latent.arm, latent.num_latent_bits, latent.baseline) == ("latent", Arm.LATENT, 3, "base")


def test_a_checkpoint_is_itself(folder):
    (latent,) = resolve(folder / "latent")
    assert (latent.name, latent.baseline) == ("latent", None)


def test_a_folder_named_with_a_slash_or_a_dot_keeps_its_name(folder, monkeypatch):
    monkeypatch.chdir(folder / "latent")
    assert [checkpoint.name for checkpoint in resolve(".")] == ["latent"]


def test_the_file_in_a_folder_says_how_it_pairs(folder):
    write_checkpoint(folder / "other", seed=1)
    (folder / "checkpoints.toml").write_text(
        '[checkpoints.b]\npath = "base"\n[checkpoints.o]\npath = "other"\n'
        '[checkpoints.l]\npath = "latent"\nbaseline = "o"\nkappa_bits = 0.5\nstep = 7\n'
    )
    found = {checkpoint.name: checkpoint for checkpoint in resolve(folder)}
    assert (found["l"].baseline, found["l"].kappa_bits, found["l"].step) == ("o", 0.5, 7)


def test_names_are_looked_up_in_the_file(folder):
    file = folder / "list.toml"
    file.write_text('[checkpoints.b]\npath = "base"\n[checkpoints.l]\npath = "latent"\nbaseline = "b"\n')
    assert [checkpoint.name for checkpoint in resolve("l", file=file)] == ["l"]
    assert [checkpoint.name for checkpoint in resolve(file=file)] == ["b", "l"]


def test_a_baseline_outside_the_run_is_no_pair(folder):
    file = folder / "list.toml"
    file.write_text('[checkpoints.b]\npath = "base"\n[checkpoints.l]\npath = "latent"\nbaseline = "b"\n')
    assert resolve("l", file=file)[0].baseline is None


def test_of_several_baselines_the_one_of_the_same_shape_is_the_pair(folder):
    other = json.loads((write_checkpoint(folder / "other", seed=1) / "config.json").read_text())
    (folder / "other" / "config.json").write_text(json.dumps({**other, "rope_theta": 5000.0}))
    assert resolve(folder)[-1].baseline == "base"


def test_the_digest_is_of_the_weights(folder):
    digests = {checkpoint.digest for checkpoint in resolve(folder)}
    shutil.copytree(folder / "base", folder / "copy")
    copies = {checkpoint.digest for checkpoint in resolve(folder / "base", folder / "copy")}
    assert (len(digests), len(copies)) == (2, 1)


def test_a_data_type_is_the_checkpoints_own_unless_it_is_given(folder):
    assert [checkpoint.dtype for checkpoint in resolve(folder, dtype="bfloat16")] == ["bfloat16"] * 2
    assert resolve(folder / "base")[0].dtype == "float32"


def broken_config(folder, **changes):
    path = folder / "base" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder / "base"


CASES = {
    "no such checkpoint": (lambda f: [f / "absent"], CheckpointError, "no such checkpoint"),
    "not a checkpoint": (lambda f: [f / "base" / "nothing"], CheckpointError, "no such checkpoint"),
    "an empty folder": (lambda f: [(f / "empty").mkdir() or f / "empty"], CheckpointError, "not a checkpoint"),
    "a file": (lambda f: [f / "base" / "config.json"], CheckpointError, "config.json"),
    "no name": (lambda _: [], UsageError, "pass --ckpt FOLDER"),
    "two of one name": (
        lambda f: [f / "base", shutil.copytree(f / "base", f / "sub" / "base")],
        UsageError,
        "two checkpoints are named base",
    ),
    "config against tensors": (lambda f: [broken_config(f, intermediate_size=32)], CheckpointError, "has shape"),
    "no tokenizer": (
        lambda f: [(f / "base/tokenizer.json").unlink() or f / "base"],
        CheckpointError,
        "no tokenizer.json",
    ),
    "not finite": (lambda f: [spoil(f / "base")], CheckpointError, "not finite|NaN"),
}


def spoil(folder: Path) -> Path:
    """Put a NaN into one weight."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][3] = float("nan")
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_cannot_be_used_is_one_clear_line(folder, case):
    """Found before anything is planned, so nothing is written."""
    names, error, words = case
    with pytest.raises(FtEvalError, match=words) as caught:
        resolve(*names(folder))
    assert isinstance(caught.value, error)
    assert "\n" not in str(caught.value)


def test_an_arm_that_the_folder_contradicts_is_refused(folder):
    file = folder / "list.toml"
    file.write_text('[checkpoints.b]\npath = "base"\narm = "latent"\n')
    with pytest.raises(ConfigError, match="b is said to be latent, but"):
        resolve(file=file)


def test_an_unknown_name_comes_with_the_nearest(folder):
    file = folder / "list.toml"
    file.write_text('[checkpoints.base-1b]\npath = "base"\n')
    with pytest.raises(CheckpointError, match="did you mean base-1b"):
        resolve("base-1", file=file)
