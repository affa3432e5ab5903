"""Chance and the train / held-out split, shared by the sources. Knows nothing of what is drawn.

Both are functions of their arguments alone: a document is (source, seed, index), and which side of the split an item
lies on is a hash of its content, so that no order of drawing can carry a held-out item into training.
"""

import hashlib
from collections.abc import Callable
from random import Random
from typing import NamedTuple, TypeVar

T = TypeVar("T")

HELD_OUT_SHARE = 1 / 8
"""The share of a source's items that training never sees."""


class Part(NamedTuple):
    """A stretch of a training document."""

    text: str
    is_answer: bool
    """Whether the text follows from what stands before it, or is the question, which does not."""


def draw_stream(*key: str | int) -> Random:
    """The generator of random choices that belongs to a key, such as (source, seed, index)."""
    return Random("/".join(map(str, key)))  # noqa: S311 - reproducible text, not secrets


def is_held_out(content: str) -> bool:
    """Whether an item with this content belongs to the evaluation side of the split."""
    digest = hashlib.sha256(content.encode()).digest()
    return int.from_bytes(digest[:8], "big") < HELD_OUT_SHARE * 2**64


def draw_on_side(draw: Callable[[], T], content: Callable[[T], str], *, held_out: bool) -> T:
    """Draw until the item lies on the wanted side of the split."""
    while True:
        item = draw()
        if is_held_out(content(item)) == held_out:
            return item
