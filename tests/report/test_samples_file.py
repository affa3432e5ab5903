"""samples.parquet holds every finished sample once, whole, however the runs were read meanwhile."""

from collections import Counter

import pyarrow.parquet as pq
import pytest

from ft_eval.report import build_report, render_html
from ft_eval.report.samples_file import SCHEMA, recorded_runs
from tests.report.fakes import baseline, job, latent, sample, store, task

SMALL = {job(baseline(), task()): [1.0, 0.0, 1.0], job(latent(), task()): [1.0, 1.0, 1.0]}


def rows_of(path):
    return pq.read_table(path).to_pylist()


def test_a_report_leaves_every_sample_in_the_file_once(tmp_path):
    """With a job that is not finished, and a report made of them meanwhile."""
    fake = store({**SMALL, job(baseline(), task("b")): [0.0] * 5, job(latent(), task("b")): None})
    with recorded_runs([fake], tmp_path / "samples.parquet") as runs:
        build_report(runs)
    rows = rows_of(tmp_path / "samples.parquet")
    stored = [(job_id, s.doc_id, s.draw, s.prompt) for job_id, samples in fake.stored.items() for s in samples]
    assert Counter((r["job_id"], r["doc_id"], r["draw"], r["prompt"]) for r in rows) == Counter(stored)
    assert {r["run_id"] for r in rows} == {fake.plan.run_id}


def test_the_report_is_the_one_of_the_runs_themselves(tmp_path):
    with recorded_runs([store(SMALL)], tmp_path / "samples.parquet") as runs:
        assert render_html(build_report(runs)) == render_html(build_report([store(SMALL)]))


@pytest.mark.parametrize("num_reads", [0, 1, 2])
def test_samples_that_nobody_reads_or_somebody_reads_twice_are_there_once(tmp_path, num_reads):
    owner = job(baseline(), task())
    with recorded_runs([store({owner: [1.0, 0.0] * 20})], tmp_path / "samples.parquet") as (run,):
        for _ in range(num_reads):
            assert len(list(run.batches(owner.id))) == 3
    assert [row["doc_id"] for row in rows_of(tmp_path / "samples.parquet")] == list(range(40))


def test_what_is_not_there_is_null_and_half_a_surrogate_pair_is_readable(tmp_path):
    owner = job(latent(), task())
    odd = sample(owner, 0, 0.0, error="timed out", prompt="\ud800", responses=("a", "\udfff"), metrics={"x": 0.5})
    with recorded_runs([store({owner: [odd, sample(owner, 1, 1.0)]})], tmp_path / "samples.parquet"):
        pass
    first, second = rows_of(tmp_path / "samples.parquet")
    assert (first["score"], first["error"], first["prompt"]) == (None, "timed out", "\\ud800")
    assert (first["responses"], dict(first["metrics"])) == (["a", "\\udfff"], {"x": 0.5})
    assert (second["score"], second["error"], second["kappa_bits"]) == (1.0, None, 0.5)
    assert pq.read_schema(tmp_path / "samples.parquet").names == SCHEMA.names


def test_the_same_runs_give_the_same_bytes_and_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "samples.parquet"
    contents = []
    for _ in range(2):
        with recorded_runs([store(SMALL)], path) as runs:
            build_report(runs)
        contents.append(path.read_bytes())
    with pytest.raises(KeyError), recorded_runs([store(SMALL)], path):
        raise KeyError
    assert contents[0] == contents[1] == path.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["samples.parquet"]
