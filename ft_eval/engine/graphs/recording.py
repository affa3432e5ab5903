"""Capture and replay of a function of fixed tensors. On CUDA a CUDA graph; elsewhere a stand-in that calls it again.

What is recorded reads its inputs where they lie and gives its result in the same place at every replay. Knows no model.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

_NUM_WARM_UPS = 3


class Recording(Protocol):
    """Something that was done once and can be done again."""

    @property
    def output(self) -> Tensor:
        """The result of the last replay; the next one writes over it."""

    def replay(self) -> None:
        """Do it again, on what stands in its inputs now."""


class Recorder(Protocol):
    """Makes recordings."""

    def record(self, function: Callable[[], Tensor]) -> Recording:
        """Call the function, several times perhaps, and keep what it does."""


class _CudaRecording:
    def __init__(self, graph: torch.cuda.CUDAGraph, output: Tensor) -> None:
        self._graph = graph
        self.output = output

    def replay(self) -> None:
        self._graph.replay()


class CudaRecorder:
    """Captures CUDA graphs, all in one pool of memory: only one of them is replayed at a time.

    The function is called on a side stream first, so that what libraries set up on their first call, and what the
    kernels' compiler does, is done before the capture.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool: Any = None

    def record(self, function: Callable[[], Tensor]) -> Recording:
        """See `Recorder`."""
        with torch.cuda.device(self._device):
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call] # untyped in torch
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_NUM_WARM_UPS):
                    function()
            torch.cuda.current_stream().wait_stream(side)
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                output = function()
        recording = _CudaRecording(graph, output)
        recording.replay()  # a capture computes nothing
        return recording


class _SerialRecording:
    def __init__(self, function: Callable[[], Tensor]) -> None:
        self._function = function
        self.output = function()

    def replay(self) -> None:
        self.output.copy_(self._function())


class SerialRecorder:
    """Stands in where there are no CUDA graphs: a replay calls the function again and keeps the place of its result."""

    def record(self, function: Callable[[], Tensor]) -> Recording:
        """See `Recorder`."""
        return _SerialRecording(function)


def recorder_for(device: torch.device) -> Recorder:
    """The recorder of a device."""
    return CudaRecorder(device) if device.type == "cuda" else SerialRecorder()
