"""`python -m ft_eval`: the command line, for where the script is not on the PATH."""

from ft_eval.cli import main

if __name__ == "__main__":
    main()
