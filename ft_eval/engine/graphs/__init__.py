"""Decoding as captured graphs: a step is traced once, rewritten with fused operators, and replayed. No Triton.

    step.py         the decode step as one function of tensors
    matching.py     small questions about nodes of an FX graph
    rewrite.py      attention, RoPE and cache write, SwiGLU of the traced step, by fused operators
    residuals.py    its norms, residual adds and the middle block, likewise
    backend.py      `ft_graph`, the backend for torch.compile
    buckets.py      which shapes there is a graph for
    recording.py    capture and replay: CUDA graphs, or their stand-in on the CPU
    runner.py       DecodeGraphs: static inputs, one recording per shape, replays

Knows the decoder and its cache; knows no request and no text.
"""

from ft_eval.engine.graphs.backend import FtGraph, ft_graph
from ft_eval.engine.graphs.runner import DecodeGraphs, GraphOptions

__all__ = ["DecodeGraphs", "FtGraph", "GraphOptions", "ft_graph"]
