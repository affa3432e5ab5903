"""The gain relative to the baseline, in percent: the currency of the paper's tables. Numbers only."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeGain:
    """How much the latent's score differs from the baseline's, relative to the baseline's."""

    percent: float
    """100 (latent - baseline) / baseline; nan where undefined."""
    method: str = "difference over the baseline's mean"
    reason: str = ""
    """Why it is undefined; empty when it is not."""


def relative_gain(baseline: float, latent: float) -> RelativeGain:
    """The relative gain of `latent` over `baseline`, undefined for a baseline that is not positive.

    >>> relative_gain(0.25, 0.30).percent
    20.0
    >>> relative_gain(0.0, 0.1).reason
    'baseline 0'
    """
    if math.isnan(baseline) or math.isnan(latent):
        return RelativeGain(percent=math.nan, reason="a score is missing")
    if baseline == 0.0:
        return RelativeGain(percent=math.nan, reason="baseline 0")
    if baseline < 0.0:
        return RelativeGain(percent=math.nan, reason="baseline below 0")
    # Rounded at the 12th decimal: 100 (0.30 - 0.25) / 0.25 is 20, not 19.999999999999996.
    return RelativeGain(percent=round(100.0 * (latent - baseline) / baseline, 12))
