"""The one place that knows lm-eval and evalplus: their requests, tasks, data and metrics in our types."""
