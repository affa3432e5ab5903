"""What the sequences of a group have in common: the numbers of the synthetic experiment. Knows no model and no κ."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ft_eval.probe.sampling import Groups
from ft_eval.toy.corpora.target import LENGTH, NUM_POSITIONS, agreement, clean_body, is_well_formed


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupNumbers:
    """What the sequences of a group have in common, over many groups of one kind."""

    well_formed: float
    """Share of sequences that the source could have given."""
    agreement: float
    """Mean share of characters that the best clean sequence allows; a broken model's is low."""
    position_spread_within: float
    """Standard deviation of the target's position inside a group, in characters, pooled over groups."""
    position_spread_total: float
    """The same over all sequences of the kind, whatever the group; 16.5 for the source."""
    position_shared: float
    """1 − (spread within / total)²: the share of the variance that the group decides; 0 to 1, but for chance."""
    mask_within: float
    """Mean correlation (phi) of the "!" masks of two sequences of a group; 0 when independent."""
    mask_between: float
    """The same of two sequences of two groups."""


def texts_of(groups: Groups) -> tuple[tuple[str, ...], ...]:
    """The texts, by group and sample."""
    return tuple(tuple(completion.text for completion in group) for group in groups)


def group_numbers(prompts: Sequence[str], sampled: Sequence[Groups]) -> GroupNumbers:
    """The numbers of one kind of group over all prompts."""
    by_prompt = [(prompt[0], texts_of(groups)) for prompt, groups in zip(prompts, sampled, strict=True)]
    bodies = [(letter, body) for letter, groups in by_prompt for group in groups for body in group]
    positions = np.array(
        [[best_position(letter, body) for body in group] for letter, groups in by_prompt for group in groups],
        dtype=np.float64,
    )
    within = float(positions.var(-1, ddof=1).mean())
    total = float(positions.var(ddof=1))
    masks_within, masks_between = _mask_correlations([groups for _, groups in by_prompt])
    return GroupNumbers(
        well_formed=float(np.mean([is_well_formed(letter, body) for letter, body in bodies])),
        agreement=float(np.mean([agreement(letter, body) for letter, body in bodies])),
        position_spread_within=math.sqrt(within),
        position_spread_total=math.sqrt(total),
        position_shared=1.0 - within / total if total else math.nan,
        mask_within=masks_within,
        mask_between=masks_between,
    )


def best_position(letter: str, body: str) -> int:
    """Where the target most likely begins, in [0, 57): the position whose clean sequence allows the most characters."""
    allowed = [
        sum(got in ("!", wanted) for got, wanted in zip(body, clean_body(letter, position), strict=False))
        for position in range(NUM_POSITIONS)
    ]
    return int(np.argmax(allowed))


def _mask_correlations(by_prompt: Sequence[tuple[tuple[str, ...], ...]]) -> tuple[float, float]:
    """Mean phi of "!" masks within groups and between groups of one prompt."""
    within: list[float] = []
    between: list[float] = []
    for groups in by_prompt:
        within.extend(mask_phi(a, b) for group in groups for a, b in combinations(group, 2))
        between.extend(mask_phi(a, b) for one, two in combinations(groups, 2) for a, b in zip(one, two, strict=True))
    return float(np.mean(within)), float(np.mean(between))


def mask_phi(first: str, second: str) -> float:
    """Correlation of two "!" masks over 64 characters, −1 to 1; 0 where a mask is empty or full."""
    one, two = (np.array([character == "!" for character in text[:LENGTH].ljust(LENGTH)]) for text in (first, second))
    if one.all() or two.all() or not one.any() or not two.any():
        return 0.0
    return float(np.corrcoef(one, two)[0, 1])


def verdict(blue: GroupNumbers, green: GroupNumbers) -> str:
    """What Z holds, by thresholds on the numbers: nothing, position, position and noise; or broken."""
    held = []
    if green.position_shared - max(0.0, blue.position_shared) > 0.5:
        held.append("position")
    elif green.position_shared - max(0.0, blue.position_shared) > 0.15:
        held.append("part of the position")
    if green.mask_within - green.mask_between > 0.3:
        held.append("noise")
    elif green.mask_within - green.mask_between > 0.1:
        held.append("part of the noise")
    what = " and ".join(held) or "nothing"
    return f"{what}; broken: few sequences are well formed" if blue.well_formed < 0.25 else what
