"""What one job is scored by."""

import json
import warnings

import pytest

from ft_eval.errors import FtEvalWarning
from ft_eval.harness.evaluate import evaluate_job
from ft_eval.harness.lm import FreeTransformerLM
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import TaskOptions, load_tasks
from ft_eval.records import Arm, Checkpoint, Job
from tests.fakes import tiny_engine

TASK = """task: mine
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: generate_until
test_split: test
doc_to_text: "{{{{q}}}}"
doc_to_target: "{{{{a}}}}"
generation_kwargs: {{until: [x], max_gen_toks: 2}}
process_results: !function own.judge
metric_list:
- {{metric: {first}, aggregation: mean, higher_is_better: true}}
"""


@pytest.mark.parametrize("first", ["given", "absent"])
def test_a_first_metric_that_no_document_was_given_is_told(tmp_path, first):
    data = tmp_path / "docs.jsonl"
    data.write_text(json.dumps({"q": "?", "a": "a"}) + "\n")
    (tmp_path / "mine.yaml").write_text(TASK.format(data=data, first=first))
    (tmp_path / "own.py").write_text("def judge(doc, results):\n    return {'given': 1.0}\n")
    options = TaskOptions(include_paths=(tmp_path,), trust_code=True)
    loaded = load_tasks(["mine"], options, DataSource(offline=True))
    checkpoint = Checkpoint(name="c", arm=Arm.BASELINE, path=tmp_path, digest="d")
    job = Job(checkpoint=checkpoint, task=loaded.specs[0], latents=None, seed=1)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", FtEvalWarning)
        evaluate_job(job, loaded.tasks["mine"], FreeTransformerLM(tiny_engine(tmp_path), seed=1), {})
    said = [str(one.message) for one in told if issubclass(one.category, FtEvalWarning)]
    lacking = "task mine has no score: its first metric, absent, was given to no document; they were given given"
    assert said == ([lacking] if first == "absent" else [])
