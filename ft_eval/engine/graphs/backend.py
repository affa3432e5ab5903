"""`ft_graph`: a backend for torch.compile that rewrites the step and compiles nothing. No Inductor and no Triton.

    torch.compile(step, backend=ft_graph, fullgraph=True, dynamic=False)

The rewritten module is what runs, on any device; on CUDA a recording captures it (`recording.py`).
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch.fx import GraphModule

from ft_eval.engine.graphs.rewrite import Fusions, rewrite


class FtGraph:
    """The backend with other fusions than the default's.

    Dynamo reuses what a backend gave for one shape as long as it is the same object: keep it.
    """

    def __init__(self, fusions: Fusions | None = None) -> None:
        self.fusions = fusions or Fusions()
        self.modules: list[GraphModule] = []
        """What it has given, one per shape."""

    def __call__(self, gm: GraphModule, example_inputs: Sequence[Any]) -> Callable[..., Any]:
        """The rewritten module."""
        self.modules.append(rewrite(gm, self.fusions))
        return self.modules[-1]


def ft_graph(gm: GraphModule, _example_inputs: Sequence[Any]) -> Callable[..., Any]:
    """The backend, with the default fusions."""
    return rewrite(gm, Fusions())
