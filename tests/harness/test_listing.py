"""The list of tasks says what each is scored by, how much there is of it, and which data is missing."""

import shutil

import pytest

from ft_eval.harness.listing import Listing, list_ours
from ft_eval.harness.mirror import DataSource


@pytest.fixture(autouse=True)
def no_cache(monkeypatch, tmp_path):
    """Nothing downloaded earlier, whatever this machine has."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_DATASETS_CACHE", raising=False)
    monkeypatch.delenv("HUMANEVAL_OVERRIDE_PATH", raising=False)


def listed(source: DataSource) -> dict[str, Listing]:
    return {one.name: one for one in list_ours(source)}


def test_tasks_groups_and_selections_say_what_they_are():
    ours = listed(DataSource())
    arc = ours["ft_arc_easy_text"]
    assert (arc.metric, arc.num_fewshot, arc.num_docs, arc.is_detail) == ("acc_completion", 0, 2376, False)
    mmlu = ours["ft_mmlu_letter"]
    assert (mmlu.metric, mmlu.num_fewshot, mmlu.num_docs) == ("acc_char, macro over 57", 5, 14042)
    everything = ours["free_transformer"]
    assert (everything.metric, everything.num_fewshot) == ("(selects 16 rows)", None)
    assert ours["ft_gsm8k"].metric == "exact_match/strict-match"
    assert ours["ft_mmlu_letter_anatomy"].is_detail


def test_bundled_documents_are_counted():
    toy = listed(DataSource())["toy_mmlu"]
    assert (toy.num_docs, toy.data) == (200, "bundled")


def test_data_is_at_hand_where_its_folder_or_its_cache_is(tmp_path):
    data = tmp_path / "data"
    (data / "allenai" / "ai2_arc").mkdir(parents=True)
    (tmp_path / "hf" / "datasets" / "baber___piqa").mkdir(parents=True)
    ours = listed(DataSource(data_dir=data))
    assert (ours["ft_arc_easy_text"].data, ours["ft_piqa_text"].data) == ("at hand", "downloaded earlier")
    assert ours["ft_race_high_text"].data == "not at hand: ehovy/race"
    assert ours["free_transformer_reading"].data == "not at hand: ehovy/race, aps/super_glue"
    assert ours["free_transformer_knowledge"].data.endswith("Rowan/hellaswag and 2 more")


def test_code_tasks_need_their_tests_too(tmp_path):
    (tmp_path / "evalplus" / "humanevalplus").mkdir(parents=True)
    assert "tests for humaneval_plus" in listed(DataSource(data_dir=tmp_path))["humaneval_plus"].data
    release = tmp_path / "evalplus-release"
    release.mkdir()
    (release / "HumanEvalPlus.jsonl.gz").write_bytes(b"")
    assert listed(DataSource(data_dir=tmp_path))["humaneval_plus"].data == "at hand"
    shutil.rmtree(tmp_path / "evalplus")
    assert listed(DataSource(data_dir=tmp_path))["humaneval_plus"].data == "not at hand: evalplus/humanevalplus"
