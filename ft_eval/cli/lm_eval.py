"""`ft-eval lm-eval …`: lm-eval's own command line with our backend registered, for 0.4.13, which finds no plugins."""

import sys

import click


@click.command(
    "lm-eval",
    short_help="lm-eval's own command line, with --model free_transformer.",
    context_settings={"ignore_unknown_options": True, "help_option_names": [], "token_normalize_func": None},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lm_eval(arguments: tuple[str, ...]) -> None:
    """Run lm-eval with our backend: `ft-eval lm-eval run --model free_transformer --model_args pretrained=DIR …`."""
    from ft_eval.harness.shim import run_lm_eval

    sys.argv = ["lm-eval", *arguments]
    run_lm_eval()
