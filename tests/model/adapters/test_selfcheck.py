"""The self-checks: a right model passes all of them, each planted defect fails the check that is there for it."""

import pytest
import torch

from ft_eval.model.adapters.selfcheck import Check, self_check
from tests.model.adapters import own_model
from tests.model.tiny import BASELINE, tiny_model


def failed(checks: tuple[Check, ...]) -> list[str]:
    """Names of the checks that failed."""
    return [check.name for check in checks if not check.passed]


def test_our_own_model_passes_every_check() -> None:
    assert failed(self_check(tiny_model())) == []


def test_a_baseline_passes_every_check() -> None:
    checks = self_check(tiny_model(BASELINE))
    assert failed(checks) == []
    assert sum("baseline" in check.detail for check in checks) == 3


def test_a_model_of_two_functions_passes_every_check() -> None:
    assert failed(self_check(own_model.OwnModel(tiny_model()))) == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_checks_allow_for_the_data_type(dtype: torch.dtype) -> None:
    assert failed(self_check(own_model.OwnModel(tiny_model().to(dtype)))) == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (own_model.WithoutPositions, ["encoder positions"]),
        (own_model.InTheStream, ["keys and values only"]),
        (own_model.SeenByQueries, ["keys and values only"]),
        (own_model.Forgetful, ["cached = uncached"]),
        (own_model.OneLate, ["cached = uncached", "one forward path"]),
        (own_model.LooksAhead, ["no look-ahead", "cached = uncached", "one forward path"]),
        (own_model.KappaInNats, ["unit of κ"]),
    ],
)
def test_a_planted_defect_fails_its_check(kind: type[own_model.OwnModel], expected: list[str]) -> None:
    checks = self_check(kind(tiny_model()))
    assert failed(checks) == expected


def test_the_detail_says_where_the_residual_goes() -> None:
    detail = next(check.detail for check in self_check(tiny_model()) if check.name == "keys and values only")
    assert detail == (
        "all of R goes through model.layers.2.self_attn.v_proj; "
        "seen by model.layers.2.self_attn.k_proj, model.layers.2.self_attn.v_proj"
    )


def test_a_model_that_raises_fails_with_the_error_as_its_detail() -> None:
    class Broken(own_model.OwnModel):
        def encode(self, x: torch.Tensor, *, lengths: torch.Tensor | None = None) -> torch.Tensor:
            raise NotImplementedError("no encoder was saved")

    check = self_check(Broken(tiny_model()))[0]
    assert not check.passed
    assert check.detail == "NotImplementedError: no encoder was saved"


def test_the_checks_leave_no_hook_behind() -> None:
    model = tiny_model()
    self_check(model)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
