"""What Arrow reads of a sample's lines is what the store's codec reads, and what the codec refuses is refused."""

import json
import math
from dataclasses import fields, replace

import pandas as pd
import pytest

from ft_eval.errors import StoreError
from ft_eval.records import SampleResult
from ft_eval.report.columns import Batch, read_batches
from ft_eval.report.frames import read_samples
from ft_eval.report.samples_file import SCHEMA, _table
from ft_eval.store import SampleBlock, dump
from tests.report.fakes import batches, blocks, job, latent, sample, task

OWNER = job(latent(), task(cluster_field="passage"))
ODD = [
    sample(OWNER, 0, 1.0, prompt='tab\t "quote" \\ "may_flip":null € \U0001f600 \x00', details={"passage": "a"}),
    sample(OWNER, 1, 0.5, draw=3, may_flip=True, logprobs_nats=(-1.5, -2.0), num_truncated_tokens=4),
    sample(OWNER, 2, 0.0, error="timed out", details={"passage": "a"}),
    sample(OWNER, 3, 0.1, metrics={"exact_match": 0.1, "f1": 1.0}, may_flip=False, responses=()),
    sample(OWNER, 4, 1 / 3, metrics={}, seconds=1e-300),
]  # fmt: skip
BEYOND_ARROW = {
    "a score that is no number": replace(ODD[0], metrics={"exact_match": math.nan}),
    "an infinite log-likelihood": replace(ODD[1], logprobs_nats=(-math.inf, -1.0)),
    "half of a surrogate pair": replace(ODD[0], prompt="\ud800"),
    "a new metric": replace(ODD[0], metrics={"later": 1.0}),
    "a name that is no text": replace(ODD[0], metrics={"\ud800": 1.0}),
    "a new detail": replace(ODD[0], details={"later": "z"}),
}


def line_of(**changes: object) -> bytes:
    plain = {**json.loads(dump(ODD[0], versioned=True)), **changes}
    return json.dumps({key: value for key, value in plain.items() if value is not ...}).encode() + b"\n"


def block_of(line: bytes) -> SampleBlock:
    """A good line and this one."""
    text = dump(ODD[1], versioned=True).encode() + b"\n" + line
    return SampleBlock(text=text, first=0, num_lines=2, job_id=OWNER.id)


def test_arrow_reads_every_ordinary_sample_and_the_frame_is_the_one_of_single_samples():
    """The first line's names are learnt from it, so the one with all of them comes first."""
    samples = [replace(ODD[0], metrics={"exact_match": 1.0, "f1": 0.0}), *ODD[1:]]
    found = batches(samples)
    assert all(batch.table is not None for batch in found)
    by_columns, one_by_one = read_samples(found, "passage"), read_samples([Batch(samples=samples)], "passage")
    pd.testing.assert_frame_equal(by_columns.frame, one_by_one.frame)
    assert (by_columns.metrics, by_columns.errors) == (one_by_one.metrics, one_by_one.errors)


def test_a_table_holds_what_the_codec_reads():
    (batch,) = batches([replace(ODD[0], metrics={"exact_match": 1.0, "f1": 0.0}), *ODD[1:]])
    assert batch.table is not None
    for row, stored in zip(batch.table.to_pylist(), ODD, strict=True):
        plain = {field.name: getattr(stored, field.name) for field in fields(SampleResult)} | {
            "metrics": ...,
            "details": ...,
        }
        plain |= {name: list(value) for name, value in plain.items() if isinstance(value, tuple)}
        assert {**row, "metrics": ..., "details": ..., "format_version": ...} == plain | {"format_version": ...}


def test_the_rows_in_the_file_are_the_same_either_way():
    samples = [replace(ODD[0], metrics={"exact_match": 1.0, "f1": 0.0}), *ODD[1:]]
    tables = [_table("run", OWNER, batch) for batch in (*batches(samples), Batch(samples=samples))]
    assert tables[0].schema == tables[1].schema == SCHEMA
    assert tables[0].to_pylist() == tables[1].to_pylist()


@pytest.mark.parametrize("odd", BEYOND_ARROW.values(), ids=BEYOND_ARROW)
def test_what_arrow_would_read_otherwise_is_left_to_the_codec(odd):
    found = list(read_batches(blocks([ODD[1], odd, ODD[2]], OWNER.id)))
    assert [list(batch.samples) for batch in found] == [[ODD[1], odd, ODD[2]]]


def test_names_are_learnt_from_what_the_codec_had_to_read():
    later = replace(ODD[0], metrics={"later": 1.0})
    found = list(read_batches(blocks([ODD[1], later, later, later], OWNER.id, size=2)))
    assert [batch.table is None for batch in found] == [True, False]


@pytest.mark.parametrize(
    "changes",
    [
        {"draw": ...}, {"error": ...}, {"may_flip": ...}, {"metrics": ...}, {"more": 1}, {"doc_id": "1"},
        {"doc_id": 1.0}, {"doc_id": None}, {"metrics": {"exact_match": None}}, {"metrics": {"exact_match": True}},
        {"details": {"x": None}}, {"logprobs_nats": [None]}, {"logprobs_nats": [math.nan]},
        {"responses": [None]}, {"format_version": 99},
        {"format_version": 0}, {"job_id": "0" * 12}, {"seconds": math.inf}, {"prompt": 1}, {"may_flip": 0},
        {"num_prompt_tokens": 2**70},
    ],
    ids=repr,
)  # fmt: skip
def test_what_the_codec_refuses_is_refused_with_its_line(changes):
    with pytest.raises(StoreError, match=r"^samples.jsonl:2: "):
        list(read_batches(iter([block_of(line_of(**changes))])))


@pytest.mark.parametrize("line", [b"{}\n", b"\n", b"[1]\n", b'{"a":1\n', b"\xff\n", "€\n".encode(), b"x"])
def test_what_is_no_sample_is_refused_with_its_line(line):
    with pytest.raises(StoreError, match=r"^samples.jsonl:2: "):
        list(read_batches(iter([block_of(line)])))


def test_a_key_that_stands_twice_and_two_samples_on_one_line_are_refused():
    good = dump(ODD[0], versioned=True).encode()
    for line in (good[:-1] + b',"draw":0}\n', good + good + b"\n"):
        with pytest.raises(StoreError, match=r"^samples.jsonl:2: "):
            list(read_batches(iter([block_of(line)])))


def test_seconds_kept_apart_take_their_place_either_way():
    for odd in (ODD[2], BEYOND_ARROW["a new detail"]):
        block = replace(next(blocks([ODD[1], odd], OWNER.id)), seconds=(0.25, 0.5))
        table = _table("run", OWNER, next(read_batches(iter([block]))))
        assert table["seconds"].to_pylist() == [0.25, 0.5]


def test_a_name_that_is_no_text_leaves_the_whole_job_to_the_codec():
    odd = replace(ODD[1], metrics={"\ud800": 1.0})
    assert [batch.table for batch in batches([odd] * 40)] == [None, None, None]


@pytest.mark.parametrize("start", [b'{"responses":', b'{"unknown":', b'{"metrics":{"exact_match":', b""])
@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
def test_nesting_that_would_exhaust_the_stack_is_refused_with_its_line(start, bracket):
    with pytest.raises(StoreError, match=r"^samples.jsonl:2: "):
        list(read_batches(iter([block_of(start + bracket * 300_000)])))
