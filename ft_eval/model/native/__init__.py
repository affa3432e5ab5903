"""The CPU's own kernels: linear layers over packed weights, and blocks of the decoder on one new token per row.

    decode.cpp   the kernels: C++ with AVX-512 and AMX, without a header of PyTorch's or Python's; their parts are
                 numbers.h, panels.h, amx.h, linear.h, attention.h
    build.py     source to a library, once per machine: the user's C++ compiler, some seconds, kept on disk
    memory.py    huge pages for weights
    linear.py    a linear layer with the library's layout of its weight
    blocks.py    the blocks of a model, and decoding steps through them

A row's numbers hang on that row alone, at any number of rows and threads, so a row that decodes alone does no work for
others. Where there is no compiler or no AVX-512, `packing.py` leaves the layers to oneDNN and blocks to PyTorch.
Knows no batch and no request.
"""
