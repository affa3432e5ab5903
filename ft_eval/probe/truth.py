"""Estimates against the truth: held-out texts of the target source, whose likelihood has a closed form.

    log p(body | K>) is exact for the source and for a baseline, and bounded for a latent model
    the mean of truth − estimate over texts of the source estimates KL(source ‖ model), plus what a bound lacks: >= 0

Only for models that read bytes, as the shipped toy does.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ft_eval.probe.likelihood import BoundPoint, WindowDraws, draw_window, elbo, exact_nats, log_mean_bound
from ft_eval.probe.records import Estimator, Interval, TruthRow
from ft_eval.probe.sampling import Subject
from ft_eval.probe.texts import HELD_OUT_SEED, Window
from ft_eval.stats.estimate import t_estimate
from ft_eval.toy.corpora.target import TargetSequence, draw_sequence, log_likelihood_nats

NUM_SEQUENCES = 64
SOURCE = "source, closed form"


def held_out_sequences(num_sequences: int = NUM_SEQUENCES) -> tuple[TargetSequence, ...]:
    """Draws of the target source under a seed that no recipe uses."""
    return tuple(draw_sequence(HELD_OUT_SEED, index) for index in range(num_sequences))


def target_windows(subject: Subject, sequences: Sequence[TargetSequence]) -> tuple[Window, ...]:
    """Each sequence as a window whose prompt is given and whose 64 characters are scored."""
    windows = []
    for index, sequence in enumerate(sequences):
        prompt = subject.prompt_ids(sequence.prompt)
        body = subject.tokenizer.encode(sequence.body, add_special_tokens=False)
        windows.append(
            Window(
                group="target",
                index=index,
                token_ids=(*prompt, *body),
                num_given=len(prompt),
                num_bytes=len(sequence.body),
            )
        )
    return tuple(windows)


@torch.inference_mode()
def compare_with_truth(
    latent: Subject, baseline: Subject | None, *, num_draws: int, seed: int, num_sequences: int = NUM_SEQUENCES
) -> tuple[TruthRow, ...]:
    """The source's own likelihood, the baseline's, and the latent model's bounds, on the same texts.

    Args:
        latent: a latent model that reads bytes.
        baseline: its baseline, where there is one.
        num_draws: K of the largest bound.
        seed: of the draws.
        num_sequences: texts.
    """
    sequences = held_out_sequences(num_sequences)
    truths = np.array([log_likelihood_nats(sequence.letter, sequence.body) for sequence in sequences])
    rows = [_row(SOURCE, Estimator.EXACT, 0, truths, truths)]
    if baseline is not None:
        values = np.array([exact_nats(baseline.model, window) for window in target_windows(baseline, sequences)])
        rows.append(_row(baseline.name, Estimator.EXACT, 0, values, truths))
    draws = [
        draw_window(latent.model, window, num_draws=num_draws, seed=seed)
        for window in target_windows(latent, sequences)
    ]
    rows.append(_bound_row(latent.name, Estimator.ELBO, num_draws, draws, truths))
    rows.extend(
        _bound_row(latent.name, estimator, k, draws, truths)
        for estimator, k in ((Estimator.IWAE, 1), (Estimator.IWAE, num_draws), (Estimator.PRIOR, num_draws))
    )
    return tuple(rows)


def _bound_row(
    name: str, estimator: Estimator, num_draws: int, draws: Sequence[WindowDraws], truths: NDArray[np.float64]
) -> TruthRow:
    points = [_point(estimator, num_draws, window) for window in draws]
    values = np.array([point.total_nats for point in points])
    stderr = float(np.sqrt(sum(point.stderr_nats**2 for point in points)) / len(points))
    return _row(name, estimator, num_draws, values, truths, stderr)


def _point(estimator: Estimator, num_draws: int, window: WindowDraws) -> BoundPoint:
    if estimator is Estimator.ELBO:
        return elbo([window])
    values = window.log_weights if estimator is Estimator.IWAE else window.prior_nats
    return log_mean_bound(values[None], num_draws)


def _row(
    name: str,
    estimator: Estimator,
    num_draws: int,
    values: NDArray[np.float64],
    truths: NDArray[np.float64],
    stderr_nats: float = 0.0,
) -> TruthRow:
    gap = t_estimate(truths - values)
    return TruthRow(
        model=name,
        estimator=estimator,
        num_draws=num_draws,
        nats_per_text=float(values.mean()),
        stderr_nats=stderr_nats,
        gap_nats=Interval(mean=gap.mean, low=gap.low, high=gap.high, n=gap.n, method=gap.method),
    )
