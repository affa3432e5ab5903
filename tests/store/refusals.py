"""The line that a store refuses with."""

from collections.abc import Callable
from typing import Any

import pytest

from ft_eval.errors import StoreError


def refusal(function: Callable[..., Any], *arguments: Any) -> str:
    """The one line that a call is refused with."""
    with pytest.raises(StoreError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)
