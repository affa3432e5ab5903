"""A checkpoint to spoil."""

from pathlib import Path

import pytest

from ft_eval.model.checkpoint import save_model
from tests.model.tiny import LATENT, tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound latent checkpoint, for a test to spoil."""
    save_model(tiny_model(LATENT), tmp_path / "latent", tokenizer_json=b"{}")
    return tmp_path / "latent"
