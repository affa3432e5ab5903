"""lm-eval's requests come back in order, each answered once, keyed by document and draw."""

from types import SimpleNamespace

import pytest

from ft_eval.engine import ScoringRequest
from ft_eval.errors import CheckpointError, UsageError
from ft_eval.harness.answers import MemoryLog
from ft_eval.harness.lm import FreeTransformerLM
from ft_eval.model.noise import NoiseKey
from ft_eval.records import Answer
from tests.fakes import tiny_engine, write_checkpoint


def instance(*args, task="t", doc_id=0, idx=0):
    return SimpleNamespace(args=args, task_name=task, doc_id=doc_id, idx=idx)


CHOICES = [instance("Which?", choice, doc_id=doc, idx=idx) for doc in range(3) for idx, choice in enumerate(" AB")]
PROMPTS = [instance(text, {"until": ["q"], "max_gen_toks": 8}, doc_id=doc) for doc, text in enumerate(["a", "bb", "a"])]


class CountingLog(MemoryLog):
    def __init__(self) -> None:
        super().__init__()
        self.appended: list[Answer] = []

    def append(self, answer: Answer) -> None:
        self.appended.append(answer)
        super().append(answer)


def test_an_interrupted_run_asks_only_what_is_missing(tmp_path):
    """Answers served from the log are the answers that would have been computed."""
    engine = tiny_engine(tmp_path, num_bits=4)
    whole, log = CountingLog(), CountingLog()
    expected = FreeTransformerLM(engine, log=whole).loglikelihood(CHOICES)
    for answer in whole.appended[:4]:
        log.append(answer)
    resumed = FreeTransformerLM(engine, log=log).loglikelihood(CHOICES)
    assert [score for score, _ in resumed] == pytest.approx([score for score, _ in expected], abs=1e-5)
    assert len(log.appended) == len(CHOICES)


def test_a_log_that_stops_half_way_keeps_what_it_has(tmp_path):
    class Full(CountingLog):
        def append(self, answer: Answer) -> None:
            if len(self.appended) == 2:
                raise KeyboardInterrupt
            super().append(answer)

    log = Full()
    lm = FreeTransformerLM(tiny_engine(tmp_path, batch_size=1), log=log)
    with pytest.raises(KeyboardInterrupt):
        lm.generate_until(PROMPTS)
    assert len(log.appended) == 2


def test_the_same_text_of_another_document_is_another_item(tmp_path):
    """Two documents with one text; their Z differ, and so do their scores."""
    lm = FreeTransformerLM(tiny_engine(tmp_path, num_bits=4))
    first, third = lm.loglikelihood([instance("Which?", " A", doc_id=doc) for doc in (0, 2)])
    assert first[0] != pytest.approx(third[0], abs=1e-3)


def test_repeats_of_one_request_are_draws(tmp_path):
    """lm-eval sends the same instance again for each repeat."""
    sampled = instance("abc", {"until": [], "max_gen_toks": 12, "do_sample": True, "temperature": 1.0})
    lm = FreeTransformerLM(tiny_engine(tmp_path))
    answers = lm.generate_until([sampled] * 3)
    assert len(set(answers)) == 3
    assert FreeTransformerLM(tiny_engine(tmp_path / "again")).generate_until([sampled] * 3) == answers


def test_a_rolling_loglikelihood_is_the_sum_over_all_tokens(tmp_path):
    """Longer than the context: every token is predicted once, as lm-eval's windows say."""
    lm = FreeTransformerLM(tiny_engine(tmp_path))
    text = "The quick brown fox jumps over the lazy dog. " * 4
    (total,) = lm.loglikelihood_rolling([instance(text)])
    head = text[:40]
    (whole,) = lm.loglikelihood_rolling([instance(head)])
    tokens = tuple(lm.tok_encode(head))
    key = NoiseKey(seed=lm.seed, item="t/0/0")
    request = ScoringRequest(context=(lm.prefix_token_id,), continuation=tokens, noise=key)
    alone = lm.engine.call(lambda engine: engine.loglikelihood(request))
    assert whole == pytest.approx(alone.total_nats, abs=1e-3)
    assert total < whole
    assert len(lm.records["t/0"]) >= 3


def test_progress_hears_of_every_answer(tmp_path):
    heard: list[str] = []
    started: list[int] = []
    lm = FreeTransformerLM(tiny_engine(tmp_path), on_start=started.append, on_answer=lambda a: heard.append(a.key))
    lm.generate_until(PROMPTS)
    assert (started, len(set(heard))) == ([3], 3)


def test_lm_eval_makes_it_by_name(tmp_path):
    from lm_eval.api.registry import get_model

    folder = write_checkpoint(tmp_path, num_bits=3)
    given = {"batch_size": 1, "max_batch_size": None, "device": "cuda:0"}
    lm = get_model("free_transformer").create_from_arg_string(f"pretrained={folder},latents=zero", given)
    assert lm.get_model_info()["latents"] == "zero"
    assert "hf" in _names()


def _names() -> set[str]:
    from lm_eval.api.registry import model_registry

    return set(model_registry)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, UsageError, "needs pretrained=FOLDER"),
        ({"pretrained": "x", "peft": "y"}, UsageError, "unknown model argument peft"),
        ({"pretrained": "/no/such/folder"}, CheckpointError, "no such file or folder"),
        ({"pretrained": "x", "batch_size": "many"}, UsageError, "batch_size"),
    ],
)
def test_wrong_model_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        FreeTransformerLM.create_from_arg_obj(arguments)
