"""How a metric's numbers are shown. Computes nothing."""

from enum import StrEnum


class Unit(StrEnum):
    """How a metric's numbers are shown."""

    POINTS = "points"
    """Scores in [0, 1], shown times 100; differences are percentage points."""
    RAW = "raw"
    """Shown as they are, such as a perplexity."""
