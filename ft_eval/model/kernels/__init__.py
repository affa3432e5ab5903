"""Fused operators for decoding on CUDA, without Triton: CUDA C++ compiled at run time by NVRTC.

    fused.cu     the kernels
    source.py    the kernels' text and how it is compiled
    nvrtc.py     NVRTC by ctypes: source to machine code
    driver.py    the CUDA driver by ctypes: machine code to a launch
    plain.py     the same operators in plain PyTorch: what they mean, and what runs on any other device
    ops.py       the operators `torch.ops.ft.*`, by device

Knows the operators of a block; knows no graph, no batch and no request.
"""
