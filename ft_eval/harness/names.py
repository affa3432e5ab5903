"""Names on the border to lm-eval: its metrics' in our spelling, and what tells a choice's second request."""

from collections.abc import Container

NO_FILTER = "none"

ACC_COMPLETION = "acc_completion"
BARE_PREFIX = "Answer:"
"""What acc_completion puts before a choice in place of its prompt; the blank is the target delimiter."""
BARE_CONTEXTS = frozenset({"", BARE_PREFIX})
"""Contexts of second requests: acc_mutual_info's and acc_completion's."""
_TWICE_ASKED = (ACC_COMPLETION, "acc_mutual_info")


def metric_name(metric: str, filter_name: str) -> str:
    """Our spelling of a metric under a filter.

    >>> metric_name("acc", "none"), metric_name("exact_match", "strict-match")
    ('acc', 'exact_match/strict-match')
    """
    return metric if filter_name == NO_FILTER else f"{metric}/{filter_name}"


def asks_twice(metrics: Container[str]) -> bool:
    """Whether a task with these metrics asks for each choice a second time, without its prompt."""
    return any(metric in metrics for metric in _TWICE_ASKED)
