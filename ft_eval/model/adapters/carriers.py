"""Where R goes inside a model, found by stopping one linear map after another. Knows no layout and no names.

If the residual stream carries X and only keys and values see R, then one linear map (of the values, or of the
attention's output) carries all of R: with its output at zero the hidden states depend on X still, and on R no more.
If R is in the residual stream, it goes past every one of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Run = Callable[[Tensor, Tensor], Tensor]
"""X and R to hidden states."""


def find_carrier(model: nn.Module, run: Run, inputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> str | None:
    """The name of a linear map that all of R passes and not all of X; None where there is none.

    Args:
        model: whose maps are tried.
        run: its upper half.
        inputs: X, another X, R, another R, (B, T, D) each.
    """
    x, other_x, r, other_r = inputs
    for name, module in linear_maps(model):
        with _stopped(module) as calls:
            hidden = run(x, r)
            if not calls:
                continue
            stops_r = torch.equal(hidden, run(x, other_r))
            if stops_r and not torch.equal(hidden, run(other_x, r)):
                return name
    return None


def maps_that_see(model: nn.Module, carrier: str, run: Run, inputs: tuple[Tensor, Tensor, Tensor]) -> tuple[str, ...]:
    """The linear maps whose input depends on R while its carrier is stopped: those of the keys and of the values.

    Args:
        model: whose maps are watched.
        carrier: as `find_carrier` gave it.
        run: the upper half.
        inputs: X, R, another R.
    """
    x, r, other_r = inputs
    seen: list[dict[str, Tensor]] = []
    with _stopped(dict(linear_maps(model))[carrier]):
        for residual in (r, other_r):
            with _watched(model) as found:
                run(x, residual)
            seen.append(found)
    return tuple(name for name, tensor in seen[0].items() if not torch.equal(tensor, seen[1][name]))


def linear_maps(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every linear map of the model by name."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear))


@contextmanager
def _stopped(module: nn.Module) -> Iterator[list[bool]]:
    """The map's output is zero; the list grows with every call."""
    calls: list[bool] = []

    def stop(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        calls.append(True)
        return torch.zeros_like(output)

    handle = module.register_forward_hook(stop)
    try:
        yield calls
    finally:
        handle.remove()


@contextmanager
def _watched(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """The last input of every linear map, by name."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            found[name] = args[0].clone()

        return hook

    handles = [module.register_forward_pre_hook(keep(name)) for name, module in linear_maps(model)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
