"""Which files of a repository are fetched: what its card gives to a config, and enough for `datasets` to load it."""

from pathlib import Path

import pytest

from ft_eval.errors import DataError
from ft_eval.harness.manifest import verify_mirror
from ft_eval.harness.mirror import DataSource, redirected_datasets
from tests.harness.test_fetch import GSM8K_CARD, MAIN, gsm8k_hub, parquet, recorded, run


@pytest.fixture
def hub(monkeypatch):
    with gsm8k_hub(monkeypatch) as stand_in:
        yield stand_in


@pytest.fixture
def mirror(tmp_path) -> Path:
    return tmp_path / "mirror"


def test_a_config_that_is_not_there_is_named(hub, mirror):
    hub.repositories["openai/gsm8k"]["README.md"] = GSM8K_CARD.replace(b"config_name: main", b"config_name: mains")
    with pytest.raises(DataError, match=r"openai/gsm8k has no config 'main'; did you mean mains\?"):
        run(hub, mirror)


def test_a_repository_of_a_script_alone_is_refused(hub, mirror):
    hub.repositories["openai/gsm8k"] = {"README.md": b"# no configs\n", "gsm8k.py": b"import os\n"}
    with pytest.raises(DataError, match=r"no data files for it at this revision \(a loading script is not supported\)"):
        run(hub, mirror)
    assert "gsm8k.py" not in hub.downloads()


def test_a_file_that_is_no_parquet_is_refused(hub, mirror):
    hub.repositories["openai/gsm8k"][MAIN[0]] = b"PAR1 but no more"
    with pytest.raises(DataError, match="is no parquet file"):
        run(hub, mirror)


def test_a_second_config_joins_the_first(hub, mirror, monkeypatch):
    """As when the tasks of one fetch read one subject of MMLU and those of the next another."""
    from ft_eval.harness import fetch as module
    from ft_eval.harness.fetch_needs import DatasetNeed, FetchNeeds

    run(hub, mirror)
    need = DatasetNeed(id="openai/gsm8k", configs=("socratic",))
    monkeypatch.setattr(module, "fetch_needs", lambda _: FetchNeeds(datasets=(need,), code_tasks=(), bundled=()))
    run(hub, mirror)
    (found,) = recorded(mirror).repositories
    assert found.configs == ("main", "socratic")
    assert found.rows == {"main": {"train": 3, "test": 2}, "socratic": {"test": 1}}
    assert not verify_mirror(mirror)


def test_configs_without_files_of_their_own_in_the_card_still_load(hub, mirror):
    """`datasets` looks for the files of such a config whenever it loads any; without them none would load."""
    import datasets

    card = b"---\nconfigs:\n- config_name: main\n  data_files: main/*\n- config_name: other\n  data_dir: other\n---\n"
    hub.repositories["openai/gsm8k"] = {
        "README.md": card,
        "main/train.parquet": parquet("a"),
        "other/train.parquet": parquet("b"),
    }
    run(hub, mirror)
    with redirected_datasets(DataSource(data_dir=mirror, offline=True)):
        assert datasets.load_dataset("openai/gsm8k", "main")["train"]["question"] == ["a"]


def test_bundled_tasks_need_nothing(hub, mirror):
    summary = run(hub, mirror, "toy_mmlu")
    assert (summary.repositories, summary.bundled, hub.log) == ((), ("toy_mmlu",), [])
