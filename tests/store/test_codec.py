"""Records go to text and back unchanged, and nothing else comes back."""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_eval import records
from ft_eval.errors import StoreError
from ft_eval.records import Answer, Arm, Checkpoint, LatentPolicy, RunPlan, SampleResult, TaskResult
from ft_eval.store.codec import FORMAT_VERSION, dump, load

RECORDS = [
    records.LatentPolicy,
    records.Checkpoint,
    records.TaskSpec,
    records.TaskGroup,
    records.Job,
    records.EngineOptions,
    records.Environment,
    records.Registration,
    records.RunPlan,
    records.Answer,
    records.PromptUsage,
    records.Verification,
    records.SampleResult,
    records.TaskResult,
]

TEXT = st.text(max_size=20)
VALUES = {
    str: TEXT,
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    float: st.floats(allow_nan=False),  # NaN is not equal to itself; it has its own test
    Path: TEXT.map(Path),
}


def any_value(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of an annotation; of a dataclass, every field is drawn."""
    if hint in VALUES:
        return VALUES[hint]
    if isinstance(hint, type) and is_dataclass(hint):
        return st.builds(hint, **{field.name: any_value(field.type) for field in fields(hint)})
    if get_origin(hint) is tuple:
        return st.lists(any_value(get_args(hint)[0]), max_size=3).map(tuple)
    if get_origin(hint) is Mapping:
        return st.dictionaries(TEXT, any_value(get_args(hint)[1]), max_size=3)
    if get_origin(hint) is UnionType:
        return st.none() | any_value(get_args(hint)[0])
    return st.sampled_from(hint)


@pytest.fixture
def answer():
    return Answer(key="k", text="four", logprob_nats=-1.5, is_greedy=True)


def test_all_dataclasses_of_the_records_module_are_covered():
    here = {value for value in vars(records).values() if isinstance(value, type) and hasattr(value, "__slots__")}
    assert {cls for cls in here if cls.__module__.startswith(records.__name__) and fields(cls)} == set(RECORDS)


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("versioned", [False, True])
def test_every_record_comes_back_equal_and_of_the_same_types(cls, versioned):
    @settings(max_examples=40, deadline=None)
    @given(any_value(cls))
    def check(record):
        text = dump(record, versioned=versioned)
        assert text.isascii()
        assert "\n" not in text
        assert load(cls, text, versioned=versioned) == record
        assert repr(load(cls, text.encode(), versioned=versioned)) == repr(record)

    check()


@pytest.mark.parametrize(("number", "tag"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
def test_numbers_that_json_lacks_are_tagged(answer, number, tag):
    text = dump(replace(answer, logprob_nats=number))
    assert json.loads(text, parse_constant=pytest.fail)["logprob_nats"] == {"__float__": tag}
    assert repr(load(Answer, text).logprob_nats) == repr(number)


def test_a_lone_surrogate_survives(answer):
    odd = replace(answer, text="a\ud800b")
    assert load(Answer, dump(odd)) == odd


def test_negative_zero_and_the_smallest_float_keep_their_bits(answer):
    for number in (-0.0, 5e-324, 0.1 + 0.2):
        assert repr(load(Answer, dump(replace(answer, logprob_nats=number))).logprob_nats) == repr(number)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": 4}, "Answer.text: got 4, expected a string"),
        ({"key": None}, "Answer.key: got None, expected a string"),
        ({"is_greedy": 1}, "Answer.is_greedy: got 1, expected true or false"),
        ({"num_prompt_tokens": True}, "Answer.num_prompt_tokens: got True, expected a whole number"),
        ({"num_prompt_tokens": 1.0}, "Answer.num_prompt_tokens: got 1.0, expected a whole number"),
        (
            {"num_prompt_tokens": 2**63},
            "Answer.num_prompt_tokens: got 9223372036854775808, expected a whole number of 64 bits",
        ),
        ({"seconds": "1"}, "Answer.seconds: got '1', expected a number"),
        ({"seconds": {"__float__": "NaN"}}, "Answer.seconds: got {'__float__': 'NaN'}, expected a number"),
        ({"seconds": {"__float__": []}}, "Answer.seconds: got {'__float__': []}, expected a number"),
        ({"seconds": 10**400}, "expected a number"),
        ({"seconds": math.nan}, "Answer.seconds: got nan, expected a number"),
        ({"seconds": -math.inf}, "Answer.seconds: got -inf, expected a number"),
        ({"sceonds": 1.0}, "Answer: unknown key 'sceonds'; did you mean seconds?"),
    ],
)
def test_a_wrong_value_is_refused_by_its_record_and_field(answer, changes, message):
    text = json.dumps({**json.loads(dump(answer)), **changes})
    with pytest.raises(StoreError) as caught:
        load(Answer, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [field.name for field in fields(Answer)])
def test_a_missing_key_is_refused_even_where_the_record_has_a_default(answer, name):
    plain = json.loads(dump(answer))
    del plain[name]
    with pytest.raises(StoreError, match=f"Answer: missing key '{name}'"):
        load(Answer, json.dumps(plain))


def test_a_wrong_value_deep_inside_is_named_by_its_whole_path(make_plan):
    plain = json.loads(dump(make_plan()))
    plain["jobs"][1]["checkpoint"]["arm"] = "latnet"
    with pytest.raises(StoreError) as caught:
        load(RunPlan, json.dumps(plain))
    assert str(caught.value) == "RunPlan.jobs[1].checkpoint.arm: got 'latnet', expected one of baseline, latent"


@pytest.mark.parametrize("text", ["[1]", '"x"', "null", "3", '{"jobs":{}}', ""])
def test_json_of_another_shape_is_refused(text):
    with pytest.raises(StoreError):
        load(RunPlan, text)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        '{"source":"prior","num_draws":1,"num_draws":2}',
        '{"source":"prior","num_draws":' + "9" * 5000 + "}",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"source":"prior"',
        b'{"source":"\xc3\xa9","num_draws":1}',
        b"\xef\xbb\xbf{}",
        b"\x80\x04\x95",
    ],
    ids=lambda text: str(text[:20]),
)
def test_what_is_not_strict_ascii_json_is_refused_on_one_line(text):
    with pytest.raises(StoreError) as caught:
        load(LatentPolicy, text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("version", "advice"),
    [(FORMAT_VERSION + 1, "upgrade ft-eval"), (0, "with the ft-eval that wrote it")],
)
def test_another_format_version_is_refused_with_what_to_do(version, advice):
    text = dump(LatentPolicy(), versioned=True).replace(
        f'"format_version":{FORMAT_VERSION}', f'"format_version":{version}'
    )
    with pytest.raises(StoreError, match=advice):
        load(LatentPolicy, text, versioned=True)


def later_fields(cls):
    return {field.name: field.metadata["since"] for field in fields(cls) if "since" in field.metadata}


def as_of(record, version):
    """The record's file as an ft-eval of that format wrote it."""
    plain = json.loads(dump(record, versioned=True))
    plain["format_version"] = version
    return {name: value for name, value in plain.items() if later_fields(type(record)).get(name, 0) <= version}


def test_a_file_of_an_earlier_format_is_read_with_the_defaults_of_what_came_later(make_result):
    result = make_result("0" * 12)
    assert later_fields(TaskResult)["prompt_usage"] == 2
    old = as_of(result, 1)
    assert not old.keys() & later_fields(TaskResult).keys()
    assert load(TaskResult, json.dumps(old), versioned=True) == result


def test_every_format_is_held_to_exactly_its_own_fields(make_result):
    result = make_result("0" * 12)
    too_new = {**as_of(result, 1), "prompt_usage": None}
    with pytest.raises(StoreError, match="unknown key 'prompt_usage'"):
        load(TaskResult, json.dumps(too_new), versioned=True)
    too_old = {**as_of(result, 1), "format_version": 2}
    with pytest.raises(StoreError, match="missing key 'prompt_usage'"):
        load(TaskResult, json.dumps(too_old), versioned=True)


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_what_came_later_has_a_default_and_a_format_to_come_with(cls):
    for field in fields(cls):
        if "since" in field.metadata:
            assert 1 < field.metadata["since"] <= FORMAT_VERSION
            assert field.default is not MISSING


@pytest.mark.parametrize("text", ["{}", "[]", '{"format_version":true}', '{"format_version":"1"}'])
def test_a_file_without_a_format_version_is_refused(text):
    with pytest.raises(StoreError, match="no format_version"):
        load(LatentPolicy, text, versioned=True)


def test_nothing_is_written_that_could_not_be_read_back(answer):
    for field, value in [("text", b"bytes"), ("text", 4), ("num_prompt_tokens", 2.0), ("seconds", {1, 2})]:
        with pytest.raises(StoreError, match=f"Answer.{field}"):
            dump(replace(answer, **{field: value}))


def test_a_whole_number_in_a_float_field_comes_back_as_a_float(answer):
    assert repr(load(Answer, dump(replace(answer, seconds=2))).seconds) == "2.0"


def test_an_annotation_without_a_rule_is_our_own_bug():
    @dataclass(frozen=True)
    class Odd:
        value: set[int]

    with pytest.raises(TypeError, match="no rule"):
        load(Odd, '{"value":[]}')


def test_an_arm_comes_back_as_an_arm_and_a_path_as_a_path(make_plan):
    checkpoint = load(Checkpoint, dump(make_plan().jobs[1].checkpoint))
    assert type(checkpoint.arm) is Arm
    assert isinstance(checkpoint.path, Path)


@given(st.text(max_size=200))
def test_no_text_makes_the_decoder_fail_otherwise_than_by_a_store_error(text):
    for cls in (SampleResult, TaskResult):
        with pytest.raises(StoreError):
            load(cls, text)
