"""Fixtures for all rooms: where the shared data lies, and which tests wait for --slow."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("no clock", deadline=None)  # a loaded machine is no failure
settings.load_profile("no clock")
os.environ.update(TQDM_DISABLE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1", TOKENIZERS_PARALLELISM="false")
# offline in every test: these are read at import, and tests import the hub's libraries in any order
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --slow, which also runs the tests that take minutes."""
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip slow tests unless --slow is given."""
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="takes minutes: run with --slow"))


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests cache out of the user's home; processes that tests start inherit it."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real data and a real checkpoint that developers and CI have; users don't."""
    folder = Path(os.environ.get("FT_EVAL_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder}: set FT_EVAL_SHARED to its folder to run this test")
    return folder


@pytest.fixture(scope="session")
def data_dir(shared_dir: Path) -> Path:
    """Real benchmark data in the hub's folder layout."""
    return shared_dir / "data"


@pytest.fixture(scope="session")
def stories(shared_dir: Path) -> Path:
    """A real pretrained Llama of 260,000 parameters."""
    return shared_dir / "checkpoints" / "stories260K"
