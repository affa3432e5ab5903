"""The kernels compile for a GPU on a machine without one."""

import re
import shutil
import subprocess

import pytest
import torch

from ft_eval.errors import EngineError
from ft_eval.model import noise
from ft_eval.model.kernels import nvrtc
from ft_eval.model.kernels.source import DTYPES, KERNELS, compile_options, source


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_nvrtc_compiles_every_kernel_for_sm_90(dtype):
    if nvrtc.library() is None:
        pytest.skip("no NVRTC here: install nvidia-cuda-nvrtc to run this test")
    cubin = nvrtc.compile_cubin(source(), compile_options(dtype, (9, 0)))
    assert all(name.encode() in cubin for name in KERNELS)


def test_nvrtc_names_the_line_that_it_refuses():
    if nvrtc.library() is None:
        pytest.skip("no NVRTC here: install nvidia-cuda-nvrtc to run this test")
    with pytest.raises(EngineError, match=r"fused\.cu\(1\)"):
        nvrtc.compile_cubin("__global__ void f() { missing(); }", compile_options(torch.float32, (9, 0)))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_nvcc_compiles_every_kernel_for_sm_90(dtype, tmp_path):
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc here")
    (tmp_path / "fused.cu").write_text(source())
    options = [option.replace("--gpu-architecture", "-arch") for option in compile_options(dtype, (9, 0))]
    subprocess.run(["nvcc", "-cubin", *options, "fused.cu", "-o", "fused.cubin"], cwd=tmp_path, check=True)
    assert all(name.encode() in (tmp_path / "fused.cubin").read_bytes() for name in KERNELS)


def test_without_nvrtc_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(nvrtc, "library", lambda: None)
    with pytest.raises(EngineError, match="pip install nvidia-cuda-nvrtc"):
        nvrtc.compile_cubin("", ())


def test_philox_constants_are_those_of_the_noise_module():
    constants = {int(found, 16) for found in re.findall(r"0x([0-9A-F]{8})u", source())}
    constants |= {int(found, 16) for found in re.findall(r"0x([0-9A-F]{8})ull", source())}
    assert set(noise._MULTIPLIERS + noise._WEYL) <= constants
    assert f"round < {noise._NUM_ROUNDS}" in source()


def test_every_kernel_of_the_source_is_listed():
    assert sorted(re.findall(r"__global__ void (\w+)\(", source())) == sorted(KERNELS)
    assert "#include" not in source()  # a machine with PyTorch alone has no CUDA headers
