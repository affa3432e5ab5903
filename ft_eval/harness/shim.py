"""lm-eval's command line with our backend in its registry, and its templates bounded.

For 0.4.13 alone: later ones read entry points.
"""

from lm_eval.__main__ import cli_evaluate

import ft_eval.harness.lm  # noqa: F401 — registers free_transformer
from ft_eval.harness.templates import bound_templates


def run_lm_eval() -> None:
    """Hand `sys.argv` to lm-eval."""
    bound_templates()
    cli_evaluate()
