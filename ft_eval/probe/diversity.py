"""What draws of Z are worth as a source of different answers: pass@k and maj@k, at equal generated tokens.

The latent model decodes greedily under K draws of Z; the baseline samples at a temperature, with as many completions as
the same tokens pay for. Knows which completion is right by comparing answers; runs no code.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ft_eval.engine import Completion, GenerationRequest, SamplingParams
from ft_eval.model.noise import NoiseKey
from ft_eval.probe.records import DiversityRow
from ft_eval.probe.sampling import Subject, complete
from ft_eval.probe.steering import bootstrap_interval
from ft_eval.probe.texts import ProbePrompt
from ft_eval.records import LatentSource
from ft_eval.stats.pass_at_k import pass_at_k

_MARKED = re.compile(r"####\s*(-?[0-9][0-9,]*(?:\.[0-9]+)?)")
_NUM_SUBSETS = 64
"""Random subsets that maj@k is averaged over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How an arm's completions come to differ."""

    num_draws: int
    max_tokens: int
    temperature: float
    """0 for the latent arm, whose draws differ by Z alone."""
    stop: tuple[str, ...] = ("\n\n",)
    seed: int

    @property
    def words(self) -> str:
        """For a table."""
        return f"temperature {self.temperature:g}" if self.temperature else "greedy, a new Z each"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """All completions of one arm."""

    subject: str
    decoding: Decoding
    answers: tuple[tuple[str, ...], ...]
    """By problem and draw."""
    right: tuple[str, ...]
    """By problem."""
    tokens_per_completion: float
    num_distinct: float


def extract_answer(completion: str) -> str:
    r"""The number after the last `####`, as GSM8K marks it; without a mark, the whole completion, trimmed.

    >>> extract_answer(" 3 + 4 = <<3+4=7>>7\\n#### 7")
    '7'
    """
    marked = _MARKED.findall(completion)
    return marked[-1].replace(",", "") if marked else completion.strip()


def draw_completions(subject: Subject, prompts: Sequence[ProbePrompt], decoding: Decoding) -> Drawn:
    """num_draws completions of every prompt; each prompt must have an answer."""
    params = SamplingParams(max_tokens=decoding.max_tokens, temperature=decoding.temperature, stop=decoding.stop)
    requests = [
        GenerationRequest(
            prompt=subject.prompt_ids(prompt.prompt),
            params=params,
            noise=NoiseKey(seed=decoding.seed, item=f"diversity/{number}", draw=draw),
        )
        for number, prompt in enumerate(prompts)
        for draw in range(decoding.num_draws)
    ]
    found = complete(subject.engine(LatentSource.PRIOR), requests)
    by_problem = [found[i : i + decoding.num_draws] for i in range(0, len(found), decoding.num_draws)]
    return Drawn(
        subject=subject.name,
        decoding=decoding,
        answers=tuple(tuple(extract_answer(one.text) for one in many) for many in by_problem),
        right=tuple(_right_answer(prompt) for prompt in prompts),
        tokens_per_completion=float(np.mean([len(one.token_ids) for one in found])),
        num_distinct=float(np.mean([_num_distinct(many) for many in by_problem])),
    )


def _right_answer(prompt: ProbePrompt) -> str:
    assert prompt.answer is not None, "diversity is measured on prompts whose answer is known"
    return extract_answer(prompt.answer)


def _num_distinct(completions: Sequence[Completion]) -> int:
    return len({completion.token_ids for completion in completions})


def diversity_rows(latent: Drawn, baseline: Drawn | None, rng: np.random.Generator) -> tuple[DiversityRow, ...]:
    """A row per k = 1, 2, 4, ... and arm; the baseline's k is what the latent's k completions pay for in tokens."""
    rows = []
    for exponent in range(latent.decoding.num_draws.bit_length()):
        k = 2**exponent
        rows.append(_row(latent, k, rng))
        if baseline is not None:
            rows.append(_row(baseline, affordable(k, latent, baseline), rng))
    return tuple(rows)


def affordable(k: int, latent: Drawn, baseline: Drawn) -> int:
    """Completions of the baseline for the tokens of k of the latent's: at least 1, at most what was drawn."""
    wanted = round(k * latent.tokens_per_completion / max(baseline.tokens_per_completion, 1e-9))
    return min(max(1, wanted), baseline.decoding.num_draws)


def _row(drawn: Drawn, k: int, rng: np.random.Generator) -> DiversityRow:
    problems = list(zip(drawn.answers, drawn.right, strict=True))
    passed = [pass_at_k(len(answers), answers.count(right), k) for answers, right in problems]
    majority = [maj_at_k(answers, right, k, rng) for answers, right in problems]
    return DiversityRow(
        model=drawn.subject,
        decoding=drawn.decoding.words,
        k=k,
        pass_at_k=bootstrap_interval(_array(passed), rng),
        maj_at_k=bootstrap_interval(_array(majority), rng),
        tokens_per_problem=k * drawn.tokens_per_completion,
        num_distinct=drawn.num_distinct,
    )


def maj_at_k(answers: Sequence[str], right: str, k: int, rng: np.random.Generator) -> float:
    """The chance that the most frequent of k answers is right; of m tied ones each counts 1/m.

    Exact for k = 1 and k = n, otherwise the mean over 64 random subsets.
    """
    if k == 1:
        return answers.count(right) / len(answers)
    if k >= len(answers):
        return _majority(answers, right)
    subsets = (rng.choice(len(answers), size=k, replace=False) for _ in range(_NUM_SUBSETS))
    return float(np.mean([_majority([answers[i] for i in subset], right) for subset in subsets]))


def _majority(answers: Sequence[str], right: str) -> float:
    counts = Counter(answers)
    most = max(counts.values())
    tied = [answer for answer, number in counts.items() if number == most]
    return (right in tied) / len(tied)


def _array(values: Sequence[float]) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
