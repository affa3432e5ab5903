"""The kernels of this machine, for the tests that hold them: skipped where there are none."""

from typing import Any

import pytest
import torch

from ft_eval.model.native.build import Library, load_library

LIBRARY: Any = load_library()
needs_kernels = pytest.mark.skipif(not isinstance(LIBRARY, Library), reason=f"no kernels on this machine: {LIBRARY}")
needs_bf16 = pytest.mark.skipif(not getattr(LIBRARY, "has_bf16", False), reason="no kernels for bfloat16 here")
DTYPES = [torch.float32, pytest.param(torch.bfloat16, marks=needs_bf16)]
