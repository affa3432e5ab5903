"""The Every Eval Ever files meet the published schema and say the report's numbers."""

import json
from pathlib import Path

import jsonschema
import pytest

from ft_eval.report import build_report
from ft_eval.report.every_eval_ever import every_eval_ever_files
from tests.report.arms import arms_store
from tests.report.example import example_report
from tests.report.fakes import baseline, job, latent, store, task

SCHEMA = json.loads((Path(__file__).parent / "schemas" / "every_eval_ever-0.3.0.json").read_text(encoding="utf-8"))
NASTY = '../../etc/passwd\x00</script>"\ud800'


def records_of(report):
    return {
        name: json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
        for name, text in every_eval_ever_files(report).items()
    }


def arms():
    return build_report([arms_store()], max_flips=0)


def nasty():
    spec, base = task(NASTY, metric=NASTY, dataset=NASTY), baseline(NASTY)
    other = latent(NASTY + "!", baseline=NASTY)
    return build_report([store({job(base, spec): [1.0, 0.0], job(other, spec): [1.0, 1.0]})])


@pytest.mark.parametrize("make", [example_report, arms, nasty])
def test_every_file_meets_the_schema(make):
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    report = make()
    records = records_of(report)
    assert len(records) == len(report.contenders)
    for record in records.values():
        jsonschema.validate(record, SCHEMA, cls=jsonschema.Draft7Validator)


def test_the_schema_would_refuse_a_record_without_its_scores():
    record = next(iter(records_of(example_report()).values()))
    del record["evaluation_results"][0]["score_details"]["score"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, SCHEMA, cls=jsonschema.Draft7Validator)


def test_a_latent_has_its_scores_and_what_they_are_against_the_baseline():
    report = example_report()
    record = records_of(report)["1-2.json"]
    assert record["model_info"]["name"] == "κ-1/2"
    cell = report.panels[0].rows[2].primary.cells[1]
    assert cell.score is not None
    assert cell.comparison is not None
    (gsm8k,) = [
        r for r in record["evaluation_results"] if r["evaluation_result_id"] == "gsm8k/exact_match/strict-match"
    ]
    assert gsm8k["score_details"]["score"] == cell.score.mean
    assert gsm8k["score_details"]["uncertainty"]["num_samples"] == cell.score.n
    assert float(gsm8k["score_details"]["details"]["difference_to_baseline"]) == cell.comparison.paired.difference.mean
    assert gsm8k["score_details"]["details"]["verdict"] == cell.comparison.verdict


def test_a_name_is_no_path():
    names = list(every_eval_ever_files(nasty()))
    assert len(set(names)) == 2
    assert all(name == Path(name).name and name.endswith(".json") and not name.startswith(".") for name in names)
