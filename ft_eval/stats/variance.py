"""Where a score's variance comes from: items, draws of Z, decoding seeds, trainings. Method of moments, numbers only.

Nested, scores (n, K, S): every item has its own draws, every draw its own decoding seeds.

    x_iks = μ + item_i + draw_ik + seed_iks
    component of a level = (mean square of the level − mean square of the next) / units below the level

Crossed, scores (R, n, K): R trainings answer the same n items.

    x_rik = μ + run_r + item_i + (run × item)_ri + draw_rik

Both for balanced designs, unbiased whatever the distribution (Searle, Casella & McCulloch 1992, ch. 3 and 4). An
unbiased estimate of a small variance can be negative: it is shown as 0, and kept as `raw`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ft_eval.stats.estimate import item_means

ITEM = "items"
DRAW = "Z draws"
SEED = "decoding seeds"
RUN = "training runs"
RUN_BY_ITEM = f"{RUN} × {ITEM}"
CHECKPOINT = "checkpoints"


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceComponent:
    """The variance that one source adds to a single score."""

    name: str
    variance: float
    """In the scores' unit squared, not below 0; nan where one unit shows no spread."""
    raw: float
    """The unbiased estimate, which can be negative."""
    num_units: int
    """Units of this source behind the mean, over all levels above it."""

    @property
    def of_mean(self) -> float:
        """What it adds to the variance of the mean over everything: the unbiased estimate over its units."""
        return self.raw / self.num_units


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceSplit:
    """All sources, outermost first."""

    components: tuple[VarianceComponent, ...]
    mean: float
    stderr: float
    """Of the mean over everything, from all sources that show a spread."""

    def __getitem__(self, name: str) -> VarianceComponent:
        """Get the component of that name.

        Raises:
            KeyError: there is none.
        """
        found = {component.name: component for component in self.components}
        return found[name]


def split_nested(scores: ArrayLike, names: tuple[str, ...] = (ITEM, DRAW, SEED)) -> VarianceSplit:
    """Components of scores (n, K, S), or of the first axes of these; each axis is nested in the one before.

    The noise of an axis of length 1 can't be told from the axis before it: it is part of that one, its own is nan.

    Raises:
        ValueError: more axes than names, fewer than two items, a score that is not finite.
    """
    values = _finite(scores)
    if not 1 <= values.ndim <= len(names) or len(values) < 2:
        raise ValueError(f"expected two items or more and at most {len(names)} axes, got shape {values.shape}")
    kept = [axis for axis, length in enumerate(values.shape) if length > 1]
    raw = dict(zip(kept, _nested_raw(values.reshape([values.shape[axis] for axis in kept])), strict=True))
    components = tuple(
        _component(names[axis], raw.get(axis, math.nan), math.prod(values.shape[: axis + 1]))
        for axis in range(values.ndim)
    )
    return _split(components, values)


def split_crossed(scores: ArrayLike, names: tuple[str, str, str] = (RUN, ITEM, DRAW)) -> VarianceSplit:
    """Components of scores (R, n) or (R, n, K): training runs, items, their interaction and, for K > 1, draws.

    `names` are those of the three axes; checkpoints of one training can stand in the runs' place.

    Runs are the units for a claim about the recipe; the standard error here is for new runs and new items.

    Raises:
        ValueError: another number of axes, fewer than two runs or items, a score that is not finite.
    """
    values = _finite(scores)
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3 or min(values.shape[:2]) < 2:
        raise ValueError(f"expected (runs, items[, draws]) with two runs and two items or more, got {values.shape}")
    num_runs, n, num_draws = values.shape
    cells = values.mean(axis=2)
    rows, columns = cells.mean(axis=1), cells.mean(axis=0)
    rest = cells - rows[:, None] - columns + cells.mean()
    of_cells = float(np.square(rest).sum()) / ((num_runs - 1) * (n - 1))
    within = float(values.var(axis=2, ddof=1).mean()) if num_draws > 1 else math.nan
    inside = within / num_draws if num_draws > 1 else 0.0
    components = (
        _component(names[0], float(rows.var(ddof=1)) - of_cells / n, num_runs),
        _component(names[1], float(columns.var(ddof=1)) - of_cells / num_runs, n),
        _component(f"{names[0]} × {names[1]}", of_cells - inside, num_runs * n),
        _component(names[2], within, num_runs * n * num_draws),
    )
    return _split(components, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedVariance:
    """The variance of one item's difference, split into what more draws average away and what they do not."""

    item: float
    """Of the true difference over items, with the noise of a side whose draws show no spread (K = 1). Not below 0."""
    baseline_draw: float
    """Of one draw of the baseline, averaged over items; 0 where it is part of `item`."""
    latent_draw: float

    def per_item(self, num_baseline_draws: int, num_latent_draws: int) -> float:
        """The variance of an item's difference of averages over that many draws."""
        return self.item + self.baseline_draw / num_baseline_draws + self.latent_draw / num_latent_draws


def split_paired(baseline: ArrayLike, latent: ArrayLike) -> PairedVariance:
    """Split the variance of the paired difference; each side has shape (n,) or (n, K) and draws of its own.

    Raises:
        ValueError: other items, fewer than two, a score that is not finite.
    """
    sides = [_finite(side) for side in (baseline, latent)]
    means = [item_means(side) for side in sides]
    if means[0].shape != means[1].shape or means[0].size < 2:
        raise ValueError(f"expected the same items, two or more, got {means[0].shape} and {means[1].shape}")
    draws = [float(side.var(axis=1, ddof=1).mean()) if _num_draws(side) > 1 else 0.0 for side in sides]
    noise = sum(draw / _num_draws(side) for draw, side in zip(draws, sides, strict=True))
    observed = float((means[1] - means[0]).var(ddof=1))
    return PairedVariance(item=max(0.0, observed - noise), baseline_draw=draws[0], latent_draw=draws[1])


def planned_variance(discordance: float, item_share: float) -> PairedVariance:
    """An assumed variance of 0/1 scores before a run: two draws of an item differ with chance `discordance`.

    Args:
        discordance: of one draw of the baseline and one of the latent, 0 to 1.
        item_share: which part of it the item carries however many draws are averaged, 0 to 1.

    Raises:
        ValueError: a number outside its range.
    """
    if not (0.0 <= discordance <= 1.0 and 0.0 <= item_share <= 1.0):
        raise ValueError(f"expected two numbers between 0 and 1, got {discordance} and {item_share}")
    noise = discordance * (1.0 - item_share) / 2.0
    return PairedVariance(item=discordance * item_share, baseline_draw=noise, latent_draw=noise)


def _nested_raw(values: NDArray[np.float64]) -> list[float]:
    """One unbiased component per axis; every axis has at least two units."""
    squares, units = [], []
    for axis in range(values.ndim):
        means = values.mean(axis=tuple(range(axis + 1, values.ndim)))
        below = math.prod(values.shape[axis + 1 :])
        squares.append(below * float(means.var(axis=axis, ddof=1).mean()))
        units.append(below)
    return [(square - after) / below for square, after, below in zip(squares, [*squares[1:], 0.0], units, strict=True)]


def _component(name: str, raw: float, num_units: int) -> VarianceComponent:
    variance = raw if math.isnan(raw) else max(0.0, raw)
    return VarianceComponent(name=name, variance=variance, raw=raw, num_units=num_units)


def _split(components: tuple[VarianceComponent, ...], values: NDArray[np.float64]) -> VarianceSplit:
    of_mean = sum(component.of_mean for component in components if not math.isnan(component.raw))
    return VarianceSplit(components=components, mean=float(values.mean()), stderr=math.sqrt(max(0.0, of_mean)))


def _num_draws(side: NDArray[np.float64]) -> int:
    return 1 if side.ndim == 1 else side.shape[1]


def _finite(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} of {values.size} scores are not finite")
    return values
