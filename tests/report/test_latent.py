"""The alarm says what the encoders say about the prompts, once per checkpoint; a κ in nats is questioned."""

import json
import math
from dataclasses import replace

import pytest

from ft_eval.records import Job, LatentSource, PromptUsage
from ft_eval.report import Report, build_report
from ft_eval.report.exports import to_json, to_markdown
from ft_eval.report.latent import is_collapsed, question_kappa
from ft_eval.report.tables import Alarm
from tests.report.arms import arm_jobs, usage, with_usage
from tests.report.fakes import baseline, job, latent, store, task

ALIVE, DEAD = usage(), usage(0.5, 0.0004)


def report_of(usages: dict[Job, PromptUsage | None]) -> Report:
    base = {job(baseline(), owner.task): [1.0, 0.0] for owner in usages}
    return build_report([with_usage(store({**base, **{owner: [1.0, 1.0] for owner in usages}}), usages)])


@pytest.mark.parametrize(
    ("kl_bits", "information_bits", "collapsed"),
    [(0.5, 0.3, False), (0.01, 0.01, False), (0.5, 0.0099, True), (0.0099, 0.0099, True), (math.nan, 0.0, True)],
)
def test_a_latent_is_collapsed_where_kl_or_information_is_below_a_hundredth_of_a_bit(
    kl_bits, information_bits, collapsed
):
    assert is_collapsed(usage(kl_bits, information_bits)) is collapsed


def test_a_collapsed_latent_is_a_note_with_its_numbers():
    report = report_of({job(latent(), task()): DEAD})
    (note,) = report.notes
    assert note.startswith("latent: collapsed: Z is not used")
    assert "KL 0.5000 bit, information 0.0004 bit per token over 10 prompts" in note
    assert note.endswith("the KL is of bits that are the same for every prompt")


def test_a_kl_of_nothing_is_not_said_to_be_the_same_for_every_prompt():
    (note,) = report_of({job(latent(), task()): usage(0.002, 0.001)}).notes
    assert note.endswith("over 10 prompts")


def test_a_latent_that_is_used_has_a_line_and_no_note():
    report = report_of({job(latent(), task()): ALIVE})
    (row,) = report.usages
    assert report.notes == ()
    assert row.alarm is Alarm.NONE
    assert "KL 0.4800 bit, information 0.3100 bit per token over 10 prompts" in row.sentence


def test_several_policies_of_one_checkpoint_are_one_row_and_one_note():
    report = report_of(dict.fromkeys(arm_jobs(latent(), task()).values(), DEAD))
    (row,) = report.usages
    assert row.policies == tuple(LatentSource)
    assert len(row.contenders) == len(LatentSource)
    assert len(report.notes) == 1


def test_arms_that_were_measured_on_other_tasks_stand_apart_and_the_fuller_one_is_the_note():
    arms = arm_jobs(latent(), task(), (LatentSource.PRIOR, LatentSource.ZERO))
    other = job(latent(), task("mmlu"), latents=arms[LatentSource.ZERO].latents)
    report = report_of(dict.fromkeys((*arms.values(), other), DEAD))
    assert [row.policies for row in report.usages] == [("prior",), ("zero",)]
    (note,) = report.notes
    assert "over 20 prompts" in note


def test_tasks_are_pooled_with_one_vote_per_token():
    first, second = job(latent(), task("a")), job(latent(), task("b"))
    (row,) = report_of({first: usage(0.1, 0.1, num_tokens=300), second: usage(0.5, 0.3, num_tokens=100)}).usages
    assert row.usage is not None
    assert row.usage.kl_bits == pytest.approx((300 * 0.1 + 100 * 0.5) / 400)
    assert row.usage.information_bits == pytest.approx((300 * 0.1 + 100 * 0.3) / 400)
    assert (row.usage.num_tokens, row.usage.num_prompts) == (400, 20)


def test_a_collapse_on_one_task_of_several_is_named_with_the_task():
    report = report_of({job(latent(), task("a")): ALIVE, job(latent(), task("b")): DEAD})
    (row,) = report.usages
    assert row.alarm is Alarm.IN_PART
    (note,) = report.notes
    assert note.startswith("latent: collapsed on 1 of 2 tasks (b)")


def test_what_was_not_measured_is_said_to_be_so_and_raises_no_alarm():
    report = report_of({job(latent(), task()): None})
    (row,) = report.usages
    assert (row.usage, row.alarm, report.notes) == (None, Alarm.UNKNOWN, ())


def test_a_baseline_has_no_row():
    assert build_report([store({job(baseline(), task()): [1.0]})]).usages == ()


def test_the_numbers_and_the_alarm_are_in_the_exports():
    report = report_of({job(latent(), task()): replace(DEAD, kl_bits=math.nan)})
    content = json.loads(to_json(report), parse_constant=pytest.fail)
    (row,) = content["latents"]
    assert (row["checkpoint"], row["kl_bits"], row["information_bits"]) == ("latent", None, 0.0004)
    assert row["collapsed"] == "collapsed"
    assert content["notes"] == list(report.notes)
    assert "Z is not used" in to_markdown(report)


def test_a_kappa_that_looks_like_nats_is_a_note_once_per_checkpoint():
    odd = latent(kappa_bits=math.log(2))
    report = report_of(dict.fromkeys(arm_jobs(odd, task()).values(), ALIVE))
    (note,) = report.notes
    assert note.startswith("latent: kappa_bits is 0.693147, which is 1 bit in nats")


@pytest.mark.parametrize(("value", "meant"), [(0.6931, "write 1"), (0.3466, "write 0.5"), (0.1733, "write 0.25")])
def test_a_kappa_that_looks_like_nats_is_questioned(value: float, meant: str) -> None:
    question = question_kappa(value)
    assert question is not None
    assert question.endswith(meant)
    assert "\n" not in question


@pytest.mark.parametrize("value", [None, 0.0, 0.25, 0.5, 0.7, 1.0, 2.0, 1 / 64])
def test_a_kappa_that_can_be_bits_is_not_questioned(value: float | None) -> None:
    assert question_kappa(value) is None
