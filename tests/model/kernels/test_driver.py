"""A launch hands the driver what its interface asks for, in its order."""

import ctypes
from contextlib import nullcontext
from ctypes import c_float, c_int, c_longlong
from types import SimpleNamespace

import pytest
import torch

from ft_eval.errors import EngineError
from ft_eval.model.kernels import driver
from ft_eval.model.kernels.source import THREADS


class Driver:
    """Reads the arguments where a launch says they are, as the driver does."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.launches: list[tuple[object, ...]] = []

    def cuModuleGetFunction(self, function, module, name):  # noqa: N802 — the driver's name
        function._obj.value = 100 + len(name)
        return 0

    def cuLaunchKernel(self, function, *rest):  # noqa: N802 — the driver's name
        *shape, stream, pointers, extra = rest
        address, number, large, real = pointers
        values = (
            ctypes.c_void_p.from_address(address).value,
            c_int.from_address(number).value,
            c_longlong.from_address(large).value,
            c_float.from_address(real).value,
        )
        self.launches.append((function.value, shape, stream.value, values, extra))
        return self.status

    def cuGetErrorString(self, status, text):  # noqa: N802 — the driver's name
        text._obj.value = b"too many resources"
        return 0


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> driver.Module:
    made = driver.Module.__new__(driver.Module)
    made._handle, made._functions = ctypes.c_void_p(7), {}
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=55))
    return made


def test_a_launch_is_one_block_of_fixed_size_per_grid_place_on_the_current_stream(module, monkeypatch):
    cuda, tensor = Driver(), torch.zeros(3)
    monkeypatch.setattr(driver, "_cuda", lambda: cuda)
    for _ in range(2):
        module.launch("ft_x", (6, 2), tensor, c_int(-3), c_longlong(2**40), c_float(0.5))
    shape = [6, 2, 1, THREADS, 1, 1, 0]
    assert cuda.launches == [(104, shape, 55, (tensor.data_ptr(), -3, 2**40, 0.5), None)] * 2


def test_an_empty_grid_launches_nothing(module, monkeypatch):
    cuda = Driver()
    monkeypatch.setattr(driver, "_cuda", lambda: cuda)
    module.launch("ft_x", (0, 1), torch.zeros(0), c_int(1), c_longlong(1), c_float(1))
    assert cuda.launches == []


def test_the_drivers_refusal_is_told_in_its_words(module, monkeypatch):
    monkeypatch.setattr(driver, "_cuda", lambda: Driver(status=701))
    with pytest.raises(EngineError, match="CUDA: too many resources"):
        module.launch("ft_x", (1, 1), torch.zeros(1), c_int(1), c_longlong(1), c_float(1))
