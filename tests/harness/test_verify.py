"""Asking again alone finds what a batch changed, and nothing else."""

from dataclasses import replace
from pathlib import Path

from ft_eval.engine import GenerationRequest, SamplingParams, ScoringRequest
from ft_eval.harness.answers import MemoryLog
from ft_eval.harness.verify import Verifier
from ft_eval.model.noise import NoiseKey
from ft_eval.records import Answer
from tests.fakes import tiny_engine


def scoring(number: int) -> ScoringRequest:
    return ScoringRequest(
        context=tuple(b"a question"), continuation=(97 + number, 98), noise=NoiseKey(seed=1, item=f"t/{number}")
    )


def logged(folder: Path, count: int) -> tuple[MemoryLog, dict[str, ScoringRequest]]:
    engine, log = tiny_engine(folder, num_bits=4), MemoryLog()
    requests = {f"key{number}": scoring(number) for number in range(count)}
    for key, request in requests.items():
        score = engine.loglikelihood(request)
        log.append(Answer(key=key, logprob_nats=score.total_nats, is_greedy=score.is_greedy))
    return log, requests


def test_equal_answers_show_no_gap_and_altered_ones_do(tmp_path: Path) -> None:
    log, requests = logged(tmp_path, 6)
    verifier = Verifier(6)
    for key, request in requests.items():
        verifier.offer(key, request)
        verifier.offer(key, request)  # shown twice, kept once
    found = verifier.verify(tiny_engine(tmp_path, num_bits=4), log)
    assert (found.num_requests, found.num_changed) == (6, 0)
    assert found.largest_gap_nats < 1e-4
    first = log.get("key0")
    assert first is not None
    assert first.logprob_nats is not None
    log.append(replace(first, logprob_nats=first.logprob_nats - 0.5, is_greedy=not first.is_greedy))
    altered = verifier.verify(tiny_engine(tmp_path, num_bits=4), log)
    assert altered.num_changed == 1
    assert abs(altered.largest_gap_nats - 0.5) < 1e-4


def test_another_text_is_a_changed_answer(tmp_path: Path) -> None:
    engine, log, verifier = tiny_engine(tmp_path), MemoryLog(), Verifier(2)
    request = GenerationRequest(prompt=(97, 98), params=SamplingParams(max_tokens=5), noise=NoiseKey(seed=1, item="g"))
    verifier.offer("same", request)
    verifier.offer("other", request)
    log.append(Answer(key="same", text=engine.complete(request).text))
    log.append(Answer(key="other", text="something else"))
    assert verifier.verify(engine, log).num_changed == 1


def test_which_requests_are_kept_hangs_on_their_keys_alone(tmp_path: Path) -> None:
    log, requests = logged(tmp_path, 12)
    verifiers = [Verifier(4), Verifier(4)]
    for verifier, keys in zip(verifiers, (list(requests), list(reversed(requests))), strict=True):
        for key in keys:
            verifier.offer(key, requests[key])
    first, second = ({key for _, key, _ in verifier._kept} for verifier in verifiers)
    assert first == second
    assert len(first) == 4
    assert verifiers[0].verify(tiny_engine(tmp_path, num_bits=4), log).num_requests == 4
