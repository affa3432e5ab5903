"""Samples become columns of numbers: no text stays, draws of a document become one item."""

import math
from dataclasses import replace

import pytest

from ft_eval.report.frames import item_frame, metric_column, read_samples
from tests.report.fakes import batches, job, latent, sample, task

OWNER = job(latent(), task())
EM = metric_column("exact_match")


def test_no_text_stays_in_the_frame():
    frame = read_samples(batches([sample(OWNER, i, 1.0, prompt="p" * 10_000) for i in range(50)])).frame
    assert not [name for name in frame if frame[name].dtype.kind not in "iufb"]
    assert frame.memory_usage(deep=True).sum() < 50 * 100


def test_draws_of_one_document_are_averaged_into_one_item():
    draws = [sample(OWNER, 0, score, draw=k) for k, score in enumerate([1.0, 0.0, 0.0, 1.0, 1.0])]
    items = item_frame(read_samples(batches([*draws, sample(OWNER, 1, 0.0)])))
    assert items["doc_id"].tolist() == [0, 1]
    assert items[EM].tolist() == pytest.approx([0.6, 0.0])


def test_a_draw_that_could_not_be_scored_is_left_out_of_the_mean_and_named():
    draws = [sample(OWNER, 0, 1.0), sample(OWNER, 0, 0.0, draw=1, error="sandbox: no fork")]
    samples = read_samples(batches(draws))
    assert item_frame(samples)[EM].tolist() == [1.0]
    assert samples.errors == (("sandbox: no fork", 1),)


def test_an_item_without_any_score_stays_as_nan():
    items = item_frame(read_samples(batches([sample(OWNER, 0, 1.0), sample(OWNER, 1, 1.0, error="timeout")])))
    assert items[EM][0] == 1.0
    assert math.isnan(items[EM][1])


def test_a_metric_that_only_some_documents_have_is_nan_elsewhere():
    extra = replace(sample(OWNER, 1, 1.0), metrics={"exact_match": 1.0, "f1": 0.5})
    frame = read_samples(batches([sample(OWNER, 0, 1.0), extra])).frame
    assert math.isnan(frame[metric_column("f1")][0])
    assert frame[metric_column("f1")][1] == 0.5


def test_equal_documents_in_one_task_are_told_apart_by_their_order():
    twins = [replace(sample(OWNER, 0, score), doc_id=i) for i, score in enumerate([1.0, 0.0])]
    assert item_frame(read_samples(batches(twins[::-1])))["occurrence"].tolist() == [0, 1]


def test_no_sample_at_all_is_an_empty_frame():
    samples = read_samples([])
    assert samples.metrics == ()
    assert len(item_frame(samples)) == 0
