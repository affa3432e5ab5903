"""Metric names: lm-eval's `acc,none` leaves its form here and never comes back."""

NO_FILTER = "none"


def metric_name(metric: str, filter_name: str) -> str:
    """Our spelling of a metric under a filter.

    >>> metric_name("acc", "none"), metric_name("exact_match", "strict-match")
    ('acc', 'exact_match/strict-match')
    """
    return metric if filter_name == NO_FILTER else f"{metric}/{filter_name}"
