"""p(y | x) = E_Z p(y | x, Z) of lm-eval's requests: how many draws an item gets, and what they say together.

All choices of an item are scored under the same draws, so what the draws share cancels in their comparison. Knows the
numbers of draws and log-probabilities; knows no model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ft_eval.records import Answer, LatentPolicy
from ft_eval.stats.monte_carlo import best_choice, log_mean_exp

FIRST_DRAWS = 8
"""Where an adaptive policy begins; it doubles from there."""
MIN_STANDARD_ERRORS = 2.0
"""An adaptive policy adds draws where the best two choices are nearer than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marginal:
    """One request's log-likelihood, averaged over its draws of Z."""

    logprob_nats: float
    stderr_nats: float
    """Monte Carlo standard error by the delta method; nan with one draw."""
    effective_sample_size: float
    num_draws: int
    is_greedy: bool
    """Whether greedy decoding gives the continuation under most of the draws."""


def draw_schedule(policy: LatentPolicy | None) -> Iterator[int]:
    """The numbers of draws to try, each for the items that the one before left open."""
    num_draws = policy.num_draws if policy else 1
    if policy is not None and policy.adaptive:
        step = FIRST_DRAWS
        while step < num_draws:
            yield step
            step *= 2
    yield num_draws


def generation_draws(policy: LatentPolicy | None) -> int:
    """How many completions each prompt gets: one per draw of Z; an adaptive policy has no margin to look at here."""
    if policy is None:
        return 1
    return min(FIRST_DRAWS, policy.num_draws) if policy.adaptive else policy.num_draws


def marginal(answers: Sequence[Answer]) -> Marginal:
    """One request's answers under draws 0 to K − 1, as one log-likelihood by log-mean-exp in fp64."""
    estimate = log_mean_exp([_logprob(answer) for answer in answers])
    return Marginal(
        logprob_nats=float(estimate.value_nats),
        stderr_nats=float(estimate.stderr_nats),
        effective_sample_size=float(estimate.ess),
        num_draws=len(answers),
        is_greedy=2 * sum(bool(answer.is_greedy) for answer in answers) > len(answers),
    )


def undecided(choices: Sequence[Sequence[Answer]]) -> bool:
    """Whether the best two of an item's choices are within `MIN_STANDARD_ERRORS` of each other.

    Args:
        choices: per choice, its answers under the same draws. With fewer than two there is nothing to decide.
    """
    if len(choices) < 2:
        return False
    margin = best_choice([[_logprob(answer) for answer in answers] for answers in choices]).margin
    if margin.num_draws < 2:
        return True
    return not float(margin.value_nats) >= MIN_STANDARD_ERRORS * float(margin.stderr_nats)


def may_flip(choices: Sequence[Sequence[Answer]]) -> bool | None:
    """Whether other draws might choose another answer; None where there is one draw or no choice."""
    if len(choices) < 2 or len(choices[0]) < 2:
        return None
    return not best_choice([[_logprob(answer) for answer in answers] for answers in choices]).is_resolved


def _logprob(answer: Answer) -> float:
    assert answer.logprob_nats is not None, "a log-likelihood request has a log-likelihood"
    return answer.logprob_nats
