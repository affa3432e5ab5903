"""A class of one's own: found by module or entry point, loaded by itself, and refused where it lacks something."""

import importlib
from pathlib import Path

import pytest
import torch

from ft_eval.errors import UsageError
from ft_eval.model.adapters.base import AdaptedModel
from ft_eval.model.adapters.opening import open_model
from ft_eval.model.adapters.protocol import LatentModel, find_class
from tests.fakes import tiny_model, write_checkpoint
from tests.model.adapters.own_model import OwnModel
from tests.model.tiny import random_codes, random_tokens

OWN = "tests.model.adapters.own_model"


def test_a_class_given_by_its_module_is_loaded_by_its_own_load(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "ckpt", num_bits=4)
    model: LatentModel = open_model(folder, adapter=f"{OWN}:OwnModel", dtype=torch.float32, device="cpu")
    token_ids, codes = random_tokens(2, 9), random_codes(2, 9, num_codes=16)
    expected = tiny_model(num_bits=4)(token_ids, codes=codes)
    torch.testing.assert_close(model(token_ids, codes=codes), expected)


def test_an_installed_entry_point_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "own_models-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ft_eval.models]\nmine = {OWN}:OwnModel\ngone = {OWN}:Gone\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert find_class("mine").__name__ == "OwnModel"
    with pytest.raises(UsageError, match=r"Gone can't be imported"):
        find_class("gone")
    with pytest.raises(UsageError, match=r"did you mean mine\?"):
        find_class("mien")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:Model", "no_such_module can't be imported"),
        (f"{OWN}:OwnModle", "has no OwnModle; did you mean OwnModel"),
        (f"{OWN}:Incomplete", "has no load, upper, logits, encode, post_sample, new_cache"),
        (":", "the module can't be imported"),
        ("mine", "no entry point of the group ft_eval.models has that name"),
    ],
)
def test_a_class_that_will_not_do_is_named_with_what_is_wrong(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        find_class(name)
    assert "\n" not in str(error.value)


def test_a_latent_model_without_codes_and_a_baseline_with_them_are_refused() -> None:
    tokens = random_tokens(1, 3)
    with pytest.raises(ValueError, match="needs codes"):
        OwnModel(tiny_model(num_bits=3))(tokens)
    with pytest.raises(ValueError, match="takes none"):
        OwnModel(tiny_model())(tokens, codes=random_codes(1, 3, num_codes=8))


def test_an_extension_needs_a_cache() -> None:
    model: AdaptedModel = OwnModel(tiny_model())
    with pytest.raises(ValueError, match="without a cache"):
        model.lower(random_tokens(1, 1), positions=torch.tensor([[3]]))
