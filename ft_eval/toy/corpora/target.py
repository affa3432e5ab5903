"""The paper's synthetic source: 64 characters that hide a target of 8, under noise (Section 4.1, Figures 3 and 4).

    K>_________________________KKKKKK!K___!________________________!____
      ^ 64 characters "_"      ^ the target: the prompt's letter, 8 times, at one of 57 positions; then "!" noise

Knows no model. The source's true likelihood has a closed form, given here, against which an estimate can be held.
"""

import math
import string
from dataclasses import dataclass
from random import Random

from ft_eval.toy.corpora.draw import Part, draw_stream

LENGTH = 64
TARGET_LENGTH = 8
NUM_POSITIONS = LENGTH - TARGET_LENGTH + 1
NOISE = 1 / 16
"""The chance that a character becomes "!", the target's characters included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSequence:
    """One draw from the source."""

    letter: str
    """A capital letter."""
    position: int
    """Where the target begins, in [0, 57)."""
    body: str
    """The 64 characters, after the noise."""

    @property
    def prompt(self) -> str:
        """What the model is given: the letter and ">"."""
        return f"{self.letter}>"

    @property
    def text(self) -> str:
        """Prompt and body, 66 characters."""
        return self.prompt + self.body


def draw_sequence(seed: int, index: int) -> TargetSequence:
    """The `index`-th sequence under a seed."""
    rng = draw_stream("target", seed, index)
    letter = rng.choice(string.ascii_uppercase)
    position = rng.randrange(NUM_POSITIONS)
    return TargetSequence(letter=letter, position=position, body=_add_noise(clean_body(letter, position), rng))


def training_parts(seed: int, index: int, length: int) -> tuple[Part, ...]:
    """The document that training sees: prompt and body. Always 66 characters; `length` must allow for them."""
    sequence = draw_sequence(seed, index)
    assert len(sequence.text) <= length, f"a target sequence has {len(sequence.text)} characters, not {length}"
    return Part(sequence.prompt, is_answer=False), Part(sequence.body, is_answer=True)


def clean_body(letter: str, position: int) -> str:
    """The 64 characters before the noise, with the target at `position` in [0, 57)."""
    return "_" * position + letter * TARGET_LENGTH + "_" * (LENGTH - TARGET_LENGTH - position)


def is_well_formed(letter: str, body: str) -> bool:
    """Whether the source can give this body: every character is "!" or what some clean sequence has there."""
    return agreement(letter, body) == 1.0


def agreement(letter: str, body: str) -> float:
    """The largest share, over the 57 positions, of 64 characters that the source allows; beyond 64 none is allowed.

    In [0, 1]; 1 exactly for a well-formed body.
    """
    best = max(_num_allowed(clean_body(letter, position), body) for position in range(NUM_POSITIONS))
    return best / max(LENGTH, len(body))


def log_likelihood_nats(letter: str, body: str) -> float:
    """The exact log p(body | prompt): the mean over the 57 positions, which are equally likely; -inf if impossible.

    A character is "!" with chance 1/16 and its clean value with chance 15/16, so every position that allows the body
    gives it the same chance.
    """
    bodies = (clean_body(letter, position) for position in range(NUM_POSITIONS))
    num_allowing = sum(_num_allowed(clean, body) == LENGTH == len(body) for clean in bodies)
    if num_allowing == 0:
        return -math.inf
    num_noisy = body.count("!")
    noise = num_noisy * math.log(NOISE) + (LENGTH - num_noisy) * math.log1p(-NOISE)
    return math.log(num_allowing / NUM_POSITIONS) + noise


def _num_allowed(clean: str, body: str) -> int:
    return sum(got in ("!", wanted) for got, wanted in zip(body, clean, strict=False))


def _add_noise(clean: str, rng: Random) -> str:
    return "".join("!" if rng.random() < NOISE else character for character in clean)
