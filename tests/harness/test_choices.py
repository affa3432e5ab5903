"""acc, acc_char and acc_completion take the choice that their definitions name, per item and under the item's draws."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from ft_eval.engine import Engine
from ft_eval.errors import TaskError
from ft_eval.harness.answers import identify
from ft_eval.harness.choices import take
from ft_eval.harness.evaluate import evaluate_job
from ft_eval.harness.lm import FreeTransformerLM
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import LoadedTasks, TaskOptions, load_tasks
from ft_eval.records import Answer, Arm, Checkpoint, Job, LatentPolicy, LatentSource
from tests.fakes import tiny_engine

NAMES = ["ft_arc_easy_text", "ft_winogrande_text", "ft_openbookqa_letter"]


@pytest.fixture(scope="module")
def loaded(data_dir) -> LoadedTasks:
    return load_tasks(NAMES, TaskOptions(limit=2), DataSource(data_dir=data_dir, offline=True))


def test_each_metric_takes_its_own_minimum():
    texts = ["ab", "abcdef", "abcd"]
    conditional, bare = [-2.0, -3.0, -3.2], [-1.0, -2.0, -9.0]
    assert take(texts, conditional) == {"acc": 0, "acc_char": 1}
    assert take(texts, conditional + bare) == {"acc": 0, "acc_char": 1, "acc_completion": 2}


def test_characters_are_counted_not_bytes():
    """Per byte the first would win: 2.0 / 4 against 2.4 / 3."""
    assert take(["éé", "abc"], [-2.0, -2.4])["acc_char"] == 1


def test_a_choice_that_the_prompt_rules_out_is_never_taken():
    assert take(["a", "b"], [-math.inf, -5.0, -math.inf, -1.0])["acc_completion"] == 1


def test_the_second_requests_ask_for_the_same_texts_after_the_bare_prefix(loaded):
    task = loaded.tasks["ft_arc_easy_text"]
    task.build_all_requests(limit=1, rank=0, world_size=1)
    pairs = [request.args for request in task.instances]
    assert [continuation for _, continuation in pairs[:4]] == [continuation for _, continuation in pairs[4:]]
    assert {context for context, _ in pairs[4:]} == {"Answer:"}
    assert all(continuation.startswith(" ") for _, continuation in pairs)
    assert [request.idx for request in task.instances] == list(range(8))


def test_both_likelihoods_of_an_item_are_under_the_same_draws(loaded):
    task = loaded.tasks["ft_arc_easy_text"]
    task.build_all_requests(limit=2, rank=0, world_size=1)
    asks = identify("loglikelihood", task.instances)
    assert len({ask.request for ask in asks}) == 16
    for draw in range(3):
        assert len({ask.under(draw).noise(7) for ask in asks[:8]}) == 1
        assert asks[0].under(draw).noise(7) != asks[8].under(draw).noise(7)


def test_the_bare_likelihoods_do_not_hold_a_decided_item_open(tmp_path):
    """The draws go on while the best two choices are near: the choices, not their second requests."""
    lm = FreeTransformerLM(tiny_engine(tmp_path, num_bits=4))
    pairs = [("Which?", " A"), ("Which?", " B"), ("Answer:", " A"), ("Answer:", " B")]
    requests = [SimpleNamespace(args=pair, task_name="t", doc_id=0, idx=number) for number, pair in enumerate(pairs)]
    asks = identify("loglikelihood", requests)
    for ask, logprob in zip(asks, (-1.0, -9.0, -0.5, -0.45), strict=True):
        for draw in range(8):
            noise = 0.1 * (draw % 2 if ask.arguments[1] == " A" else 0)
            lm._asker.log.append(Answer(key=ask.under(draw).key, logprob_nats=logprob + noise, is_greedy=False))
    assert not lm._undecided(asks, 8)
    assert lm._undecided(asks[2:], 8)


def test_a_blank_is_filled_with_each_option_and_the_rest_is_scored(loaded):
    task = loaded.tasks["ft_winogrande_text"]
    doc = {"sentence": "The cup beats the _ because it is old.", "option1": "mug", "option2": "jar", "answer": "2"}
    assert task.pairs(doc, "") == [
        ("The cup beats the mug", " because it is old."),
        ("The cup beats the jar", " because it is old."),
    ]
    assert task.process_results(doc, [(-2.0, False), (-1.0, False)]) == {"acc_char": 1.0, "acc": 1.0}


def test_a_document_without_an_answer_is_no_wrong_answer(loaded):
    task = loaded.tasks["ft_winogrande_text"]
    doc = {"sentence": "a _ b", "option1": "x", "option2": "y", "answer": "3"}
    with pytest.raises(TaskError, match="a document's answer is 2; expected 0 to 1"):
        task.process_results(doc, [(-2.0, False), (-1.0, False)])


def a_job(loaded: LoadedTasks, name: str, policy: LatentPolicy | None) -> Job:
    (spec,) = [spec for spec in loaded.specs if spec.name == name]
    checkpoint = Checkpoint(name="c", arm=Arm.LATENT, path=Path("c"), digest="d")
    return Job(checkpoint=checkpoint, task=spec, latents=policy, seed=3)


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    return tiny_engine(tmp_path_factory.mktemp("engine"), num_bits=4)


@pytest.mark.parametrize("source", [LatentSource.PRIOR, LatentSource.POSTERIOR, LatentSource.SHUFFLED])
def test_samples_hold_every_metric_of_every_document(loaded, engine, source):
    policy = LatentPolicy(source=source, num_draws=2)
    job = a_job(loaded, "ft_arc_easy_text", policy)
    lm = FreeTransformerLM(engine.under(policy), seed=3)
    outcome = evaluate_job(job, loaded.tasks[job.task.name], lm, {})
    assert len(outcome.samples) == 2
    for sample in outcome.samples:
        assert set(sample.metrics) == {"acc_completion", "acc", "acc_char"}
        assert len(sample.responses) == len(sample.logprobs_nats) == 4
        assert sample.target in sample.responses
        assert (sample.num_draws, sample.error) == (2, None)
    assert set(outcome.result.metrics) == {"acc_completion", "acc", "acc_char"}
    assert job.task.metric == "acc_completion"


def test_the_metrics_are_those_of_the_logged_answers(loaded, engine):
    """By hand from the backend's own likelihoods: nll, nll per character, nll less the bare one."""
    policy = LatentPolicy(num_draws=2)
    task = loaded.tasks["ft_openbookqa_letter"]
    job = a_job(loaded, "ft_openbookqa_letter", policy)
    lm = FreeTransformerLM(engine.under(policy), seed=3)
    outcome = evaluate_job(job, task, lm, {})
    task.build_all_requests(limit=2, rank=0, world_size=1)
    scores = [score for score, _ in FreeTransformerLM(engine.under(policy), seed=3).loglikelihood(task.instances)]
    for sample in outcome.samples:
        mine = scores[8 * sample.doc_id : 8 * sample.doc_id + 8]
        gains = [mine[choice] - mine[choice + 4] for choice in range(4)]
        gold = sample.responses.index(sample.target)
        assert sample.metrics["acc_completion"] == float(gains.index(max(gains)) == gold)
        assert sample.metrics["acc"] == sample.metrics["acc_char"] == float(mine.index(max(mine[:4])) == gold)


def test_choices_that_share_their_text_are_told_apart_by_what_is_before_it(loaded, engine):
    job = a_job(loaded, "ft_winogrande_text", None)
    outcome = evaluate_job(job, loaded.tasks[job.task.name], FreeTransformerLM(engine, seed=3), {})
    first = outcome.samples[0]
    assert first.responses == (
        "Sarah was a much better surgeon than Maria so Sarah always got the easier cases.",
        "Sarah was a much better surgeon than Maria so Maria always got the easier cases.",
    )
    assert first.target == first.responses[1]
