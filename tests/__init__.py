"""Tests mirror ft_eval/. A package, because a site-packages/tests of another project would otherwise hide it."""
