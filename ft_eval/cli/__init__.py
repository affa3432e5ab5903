"""The command line: it parses, calls one function and prints. Heavy imports wait inside the commands."""

from ft_eval.cli.main import main

__all__ = ["main"]
