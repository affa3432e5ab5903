"""Every sample stands in the instance-level format, meets its schema, and is bound to its contender's file."""

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ft_eval.report import build_report
from ft_eval.report.every_eval_ever import FOLDER
from ft_eval.report.render import write_report
from tests.report.arms import arms_store
from tests.report.fakes import FakeStore, baseline, job, latent, sample, store, task

SCHEMAS = Path(__file__).parent / "schemas"
INSTANCE = json.loads((SCHEMAS / "every_eval_ever_instance-0.3.0.json").read_text(encoding="utf-8"))
WHOLE = json.loads((SCHEMAS / "every_eval_ever-0.3.0.json").read_text(encoding="utf-8"))
CHECK = jsonschema.Draft7Validator(INSTANCE)
CHOICE = task("arc", output_type="multiple_choice", metric="acc")
OWNERS = (job(baseline(), CHOICE), job(latent(), CHOICE))
NASTY = "</script>\x00\ud800"


@cache
def choices() -> FakeStore:
    """Four documents of two choices each; one could not be scored, one is hostile, one has two draws."""
    scores = {}
    for owner in OWNERS:
        likely = {"responses": ("yes", "no"), "logprobs_nats": (-2.0, -1.0)}
        scores[owner] = [
            sample(owner, 0, 1.0, **likely, num_prompt_tokens=7, seconds=0.25),
            sample(owner, 1, 0.0, error="timed out"),
            sample(owner, 2, 0.0, prompt=NASTY, target=NASTY, responses=(NASTY,), details={"passage": "a"}),
            sample(owner, 3, 0.5, draw=1),
        ]
    return store(scores)


def written(run: FakeStore, folder: Path) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """By the name of a contender's file, its record and its rows."""
    write_report(build_report([run], max_flips=0), folder, [run])
    found = {}
    for path in sorted((folder / FOLDER).glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        lines = (folder / FOLDER / record["detailed_evaluation_results"]["file_path"]).read_bytes()
        found[path.name] = record, [json.loads(line) for line in lines.splitlines()]
        assert record["detailed_evaluation_results"]["checksum"] == hashlib.sha256(lines).hexdigest()
        assert record["detailed_evaluation_results"]["total_rows"] == len(found[path.name][1])
    return found


@pytest.mark.parametrize("make", [choices, arms_store])
def test_rows_and_files_meet_the_schemas_and_name_each_other(make, tmp_path):
    run = make()
    found = written(run, tmp_path)
    assert sum(len(rows) for _, rows in found.values()) == sum(map(len, run.stored.values()))
    for record, rows in found.values():
        jsonschema.validate(record, WHOLE, cls=jsonschema.Draft7Validator)
        known = {result["evaluation_result_id"] for result in record["evaluation_results"]}
        for row in rows[:: max(1, len(rows) // 4)]:
            CHECK.validate(row)
            assert row["evaluation_id"] == record["evaluation_id"]
            assert row["model_id"] == record["model_info"]["id"]
            assert row["evaluation_result_id"] in known


def test_a_row_says_what_the_sample_says(tmp_path):
    _, (first, unscored, nasty, half) = written(choices(), tmp_path)["latent.json"]
    assert first["input"]["choices"] == ["yes", "no"]
    assert first["output"]["raw"] == ["no"]
    assert first["answer_attribution"][0]["extracted_value"] == "no"
    assert first["evaluation"] == {"score": 1.0, "is_correct": True}
    assert (first["token_usage"]["input_tokens"], first["performance"]["latency_ms"]) == (7, 250.0)
    assert (unscored["error"], unscored["evaluation"]) == ("timed out", {"score": 0.0, "is_correct": False})
    assert (nasty["input"]["raw"], nasty["metadata"]["detail passage"]) == (NASTY, "a")
    assert (half["evaluation"]["is_correct"], half["metadata"]["draw"]) == (False, "1")
    assert half["metadata"]["latent_policy"] == "prior"


def test_the_schema_would_refuse_a_row_without_its_score(tmp_path):
    row = {**written(choices(), tmp_path)["base.json"][1][0], "evaluation": {"is_correct": True}}
    with pytest.raises(jsonschema.ValidationError):
        CHECK.validate(row)


def test_the_same_runs_give_the_same_files_and_without_being_asked_none(tmp_path):
    run = choices()
    first, second = (written(run, tmp_path / name) for name in ("a", "b"))
    assert first == second
    write_report(build_report([run]), tmp_path / "c")
    assert not (tmp_path / "c" / FOLDER / "data").exists()
    assert "detailed_evaluation_results" not in json.loads((tmp_path / "c" / FOLDER / "base.json").read_text())


def test_two_seeds_of_one_checkpoint_have_files_of_their_own(tmp_path):
    scores = {replace(owner, seed=seed): [1.0, 0.0] for owner in OWNERS for seed in (0, 1)}
    assert len(written(store(scores), tmp_path)) == 4
