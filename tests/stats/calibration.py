"""The simulated figures of docs/statistics.md: what the tests, intervals and plans of ft_eval.stats do in the long run.

Each function is one setting of one experiment and returns shares of trials. The seed is part of every figure.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from ft_eval.stats import detectable_binary, detectable_mean
from ft_eval.stats.clusters import mean_covariance
from ft_eval.stats.estimate import CONFIDENCE, normal_quantile
from ft_eval.stats.mcnemar import mid_p_values
from ft_eval.stats.power import power_mcnemar
from ft_eval.stats.sign_flip import sign_flip_test
from tests.stats.trials import (
    MODEL_SPREAD,
    Array,
    bca_covers,
    cluster_t_p_values,
    fieller_covers,
    held_interval_covers,
    holm_rejects,
    item_probabilities,
    mean_and_error,
    pair_moments,
    score_distances,
    sum_model,
    t_p_values,
)

LEVEL = 0.05
NUM_TRIALS = 20_000
SIZES = (164, 378, 1319, 14_042)
DRAWS = (1, 4, 16)
BASELINES = (0.05, 0.1, 0.2, 0.4, 0.6)
TASK_SIZES = (
    *(164, 378, 1319, 14_042, 1221, 10_042, 1267, 1838, 500),
    *(1172, 2376, 3498, 1436, 3270, 3610, 11_313, 500),
)
"""Items of 17 tasks, from HumanEval to TriviaQA."""


def false_positives(n: int, num_draws: int, model_spread: float, seed: int) -> float:
    """Two models of mean score 0.4: how often the default test calls them different at 5 %.

    model_spread 0 is one and the same model run twice; MODEL_SPREAD is two trainings of one quality.
    """
    rng = np.random.default_rng((seed, n, num_draws))
    values, chances = sum_model((0.4, 0.4), num_draws, model_spread).differences()
    counts = rng.multinomial(n, chances, size=NUM_TRIALS).astype(np.float64)
    if num_draws == 1:
        p_values = mid_p_values(counts[:, 2], counts[:, 0])
    else:
        p_values = t_p_values(*mean_and_error(counts, values), n - 1)
    return float((p_values < LEVEL).mean())


def pooled_false_positives(n: int, num_draws: int, model_spread: float, seed: int) -> float:
    """The same, but with n K pairs of draws taken as independent, as one must not."""
    rng = np.random.default_rng((seed, n, num_draws))
    base, latent, grid = item_probabilities((0.4, 0.4), model_spread)
    win, lose = latent * (1.0 - base), base * (1.0 - latent)
    wins, losses = (axis.ravel() for axis in np.meshgrid(*[np.arange(num_draws + 1)] * 2, indexing="ij"))
    wins, losses = wins[wins + losses <= num_draws], losses[wins + losses <= num_draws]
    changed = stats.binom.pmf((wins + losses)[:, None], num_draws, win + lose)
    chances = (changed * stats.binom.pmf(wins[:, None], (wins + losses)[:, None], win / (win + lose))) @ grid
    counts = rng.multinomial(n, chances / chances.sum(), size=NUM_TRIALS)
    total_wins, total_losses = counts @ wins, counts @ losses
    pairs = n * num_draws
    of_pairs = np.stack([total_losses, pairs - total_wins - total_losses, total_wins], axis=1).astype(np.float64)
    p_values = t_p_values(*mean_and_error(of_pairs, np.array([-1.0, 0.0, 1.0])), pairs - 1)
    return float((p_values < LEVEL).mean())


def sign_flip_false_positives(n: int, num_draws: int, seed: int) -> float:
    """How often the exact sign-flip test calls two trainings of one quality different."""
    rng, num_trials = np.random.default_rng((seed, n, num_draws)), NUM_TRIALS // 2
    values, chances = sum_model((0.4, 0.4), num_draws).differences()
    counts = rng.multinomial(n, chances, size=num_trials)
    p_values = [sign_flip_test(np.repeat(values, row), step=1.0 / num_draws).p_value for row in counts]
    return float((np.array(p_values) < LEVEL).mean())


def exact_mid_p_level(n: int, discordance: float) -> float:
    """The mid-p McNemar test's level, without simulation: its power at a difference of 0."""
    return power_mcnemar(n, discordance, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactLevels:
    """Levels at 5 % on 0/1 scores with one draw, without simulation."""

    mid_p: float
    exact: float
    paired_t: float


def exact_levels(n: int, discordance: float) -> ExactLevels:
    """Three tests of the same tables: their chances summed over every number of changed items and every split."""
    changed, wins = (axis.ravel() for axis in np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij"))
    changed, wins = changed[wins <= changed], wins[wins <= changed]
    losses = changed - wins
    chances = stats.binom.pmf(changed, n, discordance) * stats.binom.pmf(wins, changed, 0.5)
    counts = np.stack([losses, n - changed, wins], axis=1).astype(np.float64)
    of_t = t_p_values(*mean_and_error(counts, np.array([-1.0, 0.0, 1.0])), n - 1)
    of_exact = np.minimum(1.0, 2.0 * stats.binom.cdf(np.minimum(wins, losses), changed, 0.5))
    of_mid = mid_p_values(wins, losses)
    levels = [float(chances[p < LEVEL].sum()) for p in (of_mid, of_exact, of_t)]
    return ExactLevels(mid_p=levels[0], exact=levels[1], paired_t=levels[2])


def difference_coverage(n: int, num_draws: int, means: tuple[float, float], seed: int) -> float:
    """How often the 95 % interval of `compare_draws` holds the true difference of two trainings."""
    rng = np.random.default_rng((seed, n, num_draws))
    model = sum_model(means, num_draws)
    values, chances = model.differences()
    truth = float(chances @ values)
    counts = rng.multinomial(n, chances, size=NUM_TRIALS).astype(np.float64)
    if num_draws == 1:
        wins, losses = counts[:, 2], counts[:, 0]
        return float(held_interval_covers(wins, losses, n, truth, mid_p_values(wins, losses)).mean())
    mean, error = mean_and_error(counts, values)
    return float((np.abs(mean - truth) <= stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1) * error).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class GainCoverage:
    """How often an interval of the relative gain is shown, and how often a shown one holds the truth."""

    covered: float
    shown: float
    covered_in_all: float
    """The share that hold the truth where the runs whose gain is left out have theirs counted too."""


def gain_coverage(n: int, num_draws: int, baseline: float, gain: float, seed: int) -> GainCoverage:
    """Fieller's interval as `gain_interval` shows it, for a true relative gain such as 0.15."""
    rng = np.random.default_rng((seed, n, num_draws, round(1000 * baseline)))
    model = sum_model((baseline, baseline * (1.0 + gain)), num_draws)
    counts = model.draw_counts(n, NUM_TRIALS if num_draws == 1 else NUM_TRIALS // 2, rng)
    moments = pair_moments(counts, model.baseline, model.latent)
    shown = moments.base > stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1) * np.sqrt(moments.base_base)
    covered = fieller_covers(moments, 1.0 + gain)
    if num_draws == 1:
        p_values = mid_p_values(counts[:, 1], counts[:, 2])
        toward_zero = (moments.latent - moments.base * (1.0 + gain)) * gain >= 0.0
        covered |= (p_values >= LEVEL) & toward_zero
    return GainCoverage(
        covered=float(covered[shown].mean()), shown=float(shown.mean()), covered_in_all=float(covered.mean())
    )


def bca_coverage(n: int, baseline: float, gain: float, seed: int) -> float:
    """The bootstrap's BCa interval for 0/1 scores, 10,000 trials of 499 resamples."""
    rng = np.random.default_rng((seed, n))
    model = sum_model((baseline, baseline * (1.0 + gain)), 1)
    pairs, covered = np.stack([model.baseline, model.latent], axis=1), []
    for _ in range(20):
        counts = model.draw_counts(n, NUM_TRIALS // 40, rng)
        resampled = rng.multinomial(n, (counts / n)[:, None, :], size=(len(counts), 499)).astype(np.float64)
        covered.append(bca_covers(counts, pairs, 1.0 + gain, resampled))
    return float(np.concatenate(covered).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyErrors:
    """Shares of runs with at least one false finding among the tasks without a difference."""

    holm: float
    uncorrected: float


def family_errors(num_real: int, seed: int) -> FamilyErrors:
    """17 tasks with 20 % discordance, of which the first `num_real` have a difference of 4 points."""
    rng, columns = np.random.default_rng((seed, num_real)), []
    for place, n in enumerate(TASK_SIZES):
        difference = 0.04 if place < num_real else 0.0
        chances = (0.1 + difference / 2, 0.1 - difference / 2, 0.8)
        counts = rng.multinomial(n, chances, size=NUM_TRIALS)
        columns.append(mid_p_values(counts[:, 0], counts[:, 1]))
    p_values = np.stack(columns, axis=1)
    return FamilyErrors(
        holm=float(holm_rejects(p_values)[:, num_real:].any(axis=1).mean()),
        uncorrected=float((p_values[:, num_real:] < LEVEL).any(axis=1).mean()),
    )


def best_of_errors(num_candidates: int, seed: int) -> FamilyErrors:
    """Candidates as good as the baseline, all held to the same baseline answers: is the best one called better?

    400 items, one draw; candidates share the items' difficulty and the baseline's luck. Being called better is one of
    the two ways to be called different, so 2.5 % is the level to keep.
    """
    rng, n, num_trials = np.random.default_rng((seed, num_candidates)), 400, NUM_TRIALS // 2
    base_chance, latent_chance, grid = item_probabilities((0.4, 0.4), MODEL_SPREAD)
    cells = rng.choice(grid.size, p=grid, size=(num_trials, n)).astype(np.int32)
    baseline = rng.random((num_trials, n)) < base_chance[cells]
    difference, p_values = [], []
    for _ in range(num_candidates):
        latent = rng.random((num_trials, n)) < latent_chance[cells]
        wins, losses = (latent & ~baseline).sum(axis=1), (baseline & ~latent).sum(axis=1)
        difference.append(wins - losses)
        p_values.append(mid_p_values(wins, losses))
    best = np.argmax(np.stack(difference, axis=1), axis=1)
    all_p, rows = np.stack(p_values, axis=1), np.arange(num_trials)
    adjusted = holm_rejects(all_p)[rows, best]
    return FamilyErrors(holm=float(adjusted.mean()), uncorrected=float((all_p[rows, best] < LEVEL).mean()))


def power_at_printed_binary(n: int, discordance: float, seed: int) -> float:
    """How often mid-p McNemar finds the difference that `detectable_binary` names."""
    rng = np.random.default_rng((seed, n))
    difference = detectable_binary(n, discordance).difference
    discordance = max(discordance, difference)
    chances = ((discordance + difference) / 2, (discordance - difference) / 2, 1.0 - discordance)
    counts = rng.multinomial(n, chances, size=NUM_TRIALS)
    return float((mid_p_values(counts[:, 0], counts[:, 1]) < LEVEL).mean())


def power_at_printed_mean(n: int, num_draws: int, seed: int) -> float:
    """How often the t test over items finds the difference that `detectable_mean` names, for averaged 0/1 draws.

    The latent's mean is the one at which the true difference is the detectable one for its own variance.
    """

    def excess(latent: float) -> float:
        values, chances = sum_model((0.3, latent), num_draws).differences()
        return (latent - 0.3) - detectable_mean(n, _variance(values, chances)).difference

    latent = float(optimize.brentq(excess, 0.3, 0.7, xtol=1e-6))
    values, chances = sum_model((0.3, latent), num_draws).differences()
    counts = np.random.default_rng((seed, n, num_draws)).multinomial(n, chances, size=NUM_TRIALS)
    mean, error = mean_and_error(counts.astype(np.float64), values)
    return float((t_p_values(mean, error, n - 1) < LEVEL).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterErrors:
    """Shares of false findings with the clusters known, and with items taken as independent."""

    clustered: float
    independent: float


def cluster_errors(num_clusters: int, seed: int) -> ClusterErrors:
    """Clusters of 1 to 12 items whose differences have an intraclass correlation of 0.3; no true difference."""
    rng = np.random.default_rng((seed, num_clusters))
    sizes = rng.integers(1, 13, size=num_clusters)
    names = np.repeat(np.arange(num_clusters), sizes)
    degrees = mean_covariance(rng.random((names.size, 1)), names).degrees_of_freedom
    shared = np.sqrt(0.3) * rng.standard_normal((NUM_TRIALS, num_clusters))
    own = np.sqrt(0.7 * sizes) * rng.standard_normal((NUM_TRIALS, num_clusters))  # summed over the cluster's items
    sums, n = shared * sizes + own, names.size
    means = sums.sum(axis=1) / n
    inside = 0.7 * rng.chisquare(n - num_clusters, size=NUM_TRIALS)  # squares about the clusters' means
    squares = inside + (sums**2 / sizes).sum(axis=1) - n * means**2
    naive = t_p_values(means, np.sqrt(squares / (n - 1) / n), n - 1)
    clustered = cluster_t_p_values(sums - means[:, None] * sizes, means, sizes.astype(np.float64), degrees)
    return ClusterErrors(clustered=float((clustered < LEVEL).mean()), independent=float((naive < LEVEL).mean()))


def false_equivalence(n: int, discordance: float, margin: float, seed: int) -> float:
    """How often a difference of just the margin is called equivalent, for 0/1 scores with one draw."""
    rng = np.random.default_rng((seed, n))
    chances = ((discordance + margin) / 2, (discordance - margin) / 2, 1.0 - discordance)
    counts = rng.multinomial(n, chances, size=NUM_TRIALS).astype(np.float64)
    z = stats.norm.ppf(1.0 - LEVEL)
    below = score_distances(counts[:, 0], counts[:, 1], n, margin) > z
    above = score_distances(counts[:, 1], counts[:, 0], n, margin) > z
    return float((below & above).mean())


def pooled_coverage(seed: int) -> float:
    """How often the interval of the mean over 17 tasks holds the mean of their true, unequal differences."""
    rng = np.random.default_rng(seed)
    truths = rng.normal(0.01, 0.02, size=len(TASK_SIZES))
    total, squares, fourths = (np.zeros(NUM_TRIALS) for _ in range(3))
    for n, truth in zip(TASK_SIZES, truths, strict=True):
        counts = rng.multinomial(n, (0.1 + truth / 2, 0.8, 0.1 - truth / 2), size=NUM_TRIALS).astype(np.float64)
        mean, error = mean_and_error(counts, np.array([1.0, 0.0, -1.0]))
        total, squares, fourths = total + mean, squares + error**2, fourths + error**4 / (n - 1)
    quantile = stats.t.ppf(0.5 + CONFIDENCE / 2, squares**2 / fourths)
    return float((np.abs(total / len(truths) - truths.mean()) <= quantile * np.sqrt(squares) / len(truths)).mean())


def below_noise_floor(n: int, num_draws: int, seed: int) -> float:
    """How often a third run's difference from the first stays below the floor that two runs of one model named."""
    rng = np.random.default_rng((seed, n, num_draws))
    values, chances = sum_model((0.4, 0.4), num_draws, 0.0).differences()
    first, second = (rng.multinomial(n, chances, size=NUM_TRIALS).astype(np.float64) for _ in range(2))
    floor = normal_quantile() * np.sqrt(first @ values**2) / n
    return float((np.abs(second @ values / n) <= floor).mean())


def _variance(values: Array, chances: Array) -> float:
    return float(chances @ values**2 - (chances @ values) ** 2)
