"""What there is to know in the toy world: facts about everyday words and about invented creatures.

Fixed data and functions of it; draws nothing but the world itself, once, from its own names. Knows no question form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random

from ft_eval.toy.corpora.draw import draw_stream

NUM_CREATURES = 160
WORD_SHARE = 1 / 5
"""The share of facts drawn that are about everyday words."""

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "bird": ("crow", "duck", "hawk", "owl", "swan", "wren"),
    "fish": ("bass", "carp", "cod", "eel", "pike", "tuna"),
    "fruit": ("fig", "kiwi", "lime", "pear", "plum", "mango"),
    "tool": ("axe", "drill", "file", "hoe", "rake", "saw"),
    "tree": ("ash", "beech", "elm", "fir", "oak", "pine"),
    "metal": ("iron", "gold", "lead", "tin", "zinc", "brass"),
    "drink": ("beer", "cola", "milk", "tea", "wine", "juice"),
    "game": ("chess", "golf", "poker", "rugby", "tag", "darts"),
}
CATEGORY_OF: Mapping[str, str] = {word: category for category, words in CATEGORIES.items() for word in words}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """Something that is known of every creature, or of every word."""

    question: str
    """With {} for the subject."""
    statement: str
    """With {} for the subject and {} for the value."""
    values: tuple[str, ...]


CATEGORY = Attribute(question="What is a {}?", statement="A {} is a {}.", values=tuple(CATEGORIES))
CREATURE_ATTRIBUTES = (
    Attribute(
        question="What color is a {}?",
        statement="A {} looks {}.",
        values=("red", "blue", "green", "pink", "white", "black"),
    ),
    Attribute(
        question="Where does a {} live?",
        statement="A {} lives in a {}.",
        values=("cave", "lake", "nest", "swamp", "tower", "forest"),
    ),
    Attribute(
        question="What does a {} eat?",
        statement="A {} eats {}.",
        values=("bread", "grass", "honey", "moss", "rice", "seeds"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One subject's value of one attribute."""

    subject: str
    attribute: Attribute

    @property
    def question(self) -> str:
        """What is asked to learn the value."""
        return self.attribute.question.format(self.subject)

    @property
    def statement(self) -> str:
        """The fact as a sentence."""
        return self.attribute.statement.format(self.subject, self.value)

    @property
    def value(self) -> str:
        """What the world says: a word's category, or a fixed function of the creature's name."""
        if self.attribute is CATEGORY:
            return CATEGORY_OF[self.subject]
        return _value_of(self.subject, self.attribute)


@cache
def creature_names() -> tuple[str, ...]:
    """The creatures, most frequent first."""
    names = [a + b + c + d for a in "bdgkmz" for b in "aou" for c in "flrv" for d in "aiu"]
    return tuple(draw_stream("world", "creatures").sample(names, NUM_CREATURES))


@cache
def all_facts() -> tuple[Fact, ...]:
    """Every fact of the world."""
    words = [Fact(subject=word, attribute=CATEGORY) for word in CATEGORY_OF]
    creatures = [Fact(subject=name, attribute=a) for name in creature_names() for a in CREATURE_ATTRIBUTES]
    return (*words, *creatures)


def draw_fact(rng: Random) -> Fact:
    """A fact: one in five about a word, the others about a creature, the r-th in proportion to 1 / (r + 3)."""
    if rng.random() < WORD_SHARE:
        return Fact(subject=rng.choice(tuple(CATEGORY_OF)), attribute=CATEGORY)
    creatures = creature_names()
    [creature] = rng.choices(creatures, [1 / (rank + 3) for rank in range(1, len(creatures) + 1)])
    return Fact(subject=creature, attribute=rng.choice(CREATURE_ATTRIBUTES))


@cache
def _value_of(creature: str, attribute: Attribute) -> str:
    return draw_stream("world", creature, attribute.statement).choice(attribute.values)
