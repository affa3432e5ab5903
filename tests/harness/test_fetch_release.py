"""evalplus's release files go into a mirror beside the datasets, with the digests that are known."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from ft_eval.errors import DataError
from ft_eval.harness import code_data
from ft_eval.harness.fetch_release import ADDRESS_VARIABLE, release_url
from ft_eval.harness.manifest import verify_mirror
from tests.harness.test_fetch import files, gsm8k_hub, parquet, recorded, run


@pytest.fixture
def hub(monkeypatch):
    with gsm8k_hub(monkeypatch) as stand_in:
        yield stand_in


@pytest.fixture
def mirror(tmp_path) -> Path:
    return tmp_path / "mirror"


@pytest.fixture
def release(hub, monkeypatch):
    """The release and dataset of MBPP+, both small; the address is the stand-in's."""
    data = b"\x1f\x8b not really"
    source = code_data._SOURCES["mbpp_plus"]
    digest = hashlib.sha256(data).hexdigest()
    changed = replace(source, sha256=digest)
    monkeypatch.setitem(code_data._SOURCES, "mbpp_plus", changed)
    monkeypatch.setenv(ADDRESS_VARIABLE, f"{hub.address}/cdn/")
    name = release_url("mbpp_plus").removeprefix(f"{hub.address}/cdn/")
    hub.repositories["releases"] = {name: data}
    hub.repositories["evalplus/mbppplus"] = {"README.md": b"# m\n", "data/test-00000-of-00001.parquet": parquet("p")}
    return name


def test_a_code_task_brings_the_release_files(hub, mirror, release):
    run(hub, mirror, "mbpp_plus")
    assert "evalplus-release/MbppPlus.jsonl.gz" in files(mirror)
    found = recorded(mirror).repository("evalplus-release")
    assert found is not None
    assert (found.revision, found.source) == ("MbppPlus v0.2.0", f"{hub.address}/cdn/")
    assert not verify_mirror(mirror)
    assert code_data.CodeData("mbpp_plus", data_dir=mirror, offline=True).path.is_relative_to(mirror)


def test_a_release_file_with_another_digest_is_refused(hub, mirror, release):
    hub.sent[release] = b"else"
    with pytest.raises(
        DataError, match=r"MbppPlus.jsonl.gz was not put in place: its sha256 is [0-9a-f]{64}, expected"
    ):
        run(hub, mirror, "mbpp_plus")
    assert "evalplus-release/MbppPlus.jsonl.gz" not in files(mirror)


def test_the_hubs_token_is_shown_to_the_hub_alone(hub, mirror, release, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    run(hub, mirror, "mbpp_plus")
    assert "/api/datasets/evalplus/mbppplus" in hub.with_token
    assert f"/cdn/{release}" in hub.log
    assert f"/cdn/{release}" not in hub.with_token


def test_the_release_is_where_evalplus_itself_looks(monkeypatch):
    from evalplus.data.utils import get_dataset_metadata

    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    for task, source in code_data._SOURCES.items():
        assert release_url(task) == get_dataset_metadata(source.name, source.version, mini=False)[0]
