"""Which sequences begin alike, and how much of that is worth computing once. Knows token ids and no model.

A prefix is cut at multiples of 64 tokens, so that it is a property of the tokens. Prefixes nest: what is common to all,
such as few-shot examples, is computed once, what some of them have in common behind it, such as a passage, once behind
that. Each sequence goes behind the deepest cut that it passes, and reads the whole of it in place.

    P P P P P P Q Q | a a a                     ┌ Q Q ─┬ a a a
    P P P P P P Q Q | b b       ▷   P P P P P P ┤      └ b b
    P P P P P P | c c c c                       └ c c c c
    x x x x                         x x x x
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

CHUNK_TOKENS = 64

_Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """A prefix, and where it is cut: each part is computed behind the one before it."""

    tokens: _Tokens
    """Of a multiple of CHUNK_TOKENS."""
    cuts: tuple[int, ...] = ()
    """The lengths of the shorter prefixes that it is computed behind, ascending."""

    @property
    def parent(self) -> "Path | None":
        """What its last part is computed behind."""
        return Path(self.tokens[: self.cuts[-1]], self.cuts[:-1]) if self.cuts else None

    def __len__(self) -> int:
        """Its tokens."""
        return len(self.tokens)


NO_PREFIX = Path(())


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixGroup:
    """Sequences behind one prefix."""

    prefix: Path
    """Empty for those that share nothing."""
    members: tuple[int, ...]
    """Their numbers, in order."""


@dataclass(slots=True)
class _Node:
    """What some sequences begin with, up to where they part. Mutable while the tree is built."""

    num_tokens: int
    members: list[int]
    children: list["_Node"] = field(default_factory=list)


def group_by_prefix(sequences: Sequence[_Tokens], *, min_saved_tokens: int) -> list[PrefixGroup]:
    """The sequences by the prefix that each goes behind, the longest prefix first, those without one last.

    A sequence that stands there several times counts once. At least one token of each stays behind its prefix.

    Args:
        sequences: all that will be computed.
        min_saved_tokens: a cut must spare at least so many, all sequences behind it together: each is a batch of its
            own.
    """
    distinct = list(dict.fromkeys(sequences))
    cuts: dict[_Tokens, tuple[int, ...]] = {}
    open_nodes: list[tuple[_Node, tuple[int, ...]]] = [(_Node(0, list(range(len(distinct)))), ())]
    while open_nodes:
        node, above = open_nodes.pop()
        _grow(node, distinct)
        saved = (node.num_tokens - (above[-1] if above else 0)) * (len(node.members) - 1)
        passed = (*above, node.num_tokens) if saved >= max(1, min_saved_tokens) else above
        cuts |= dict.fromkeys((distinct[member] for member in node.members), passed)
        open_nodes += [(child, passed) for child in node.children]
    return _groups(sequences, cuts)


def _groups(sequences: Sequence[_Tokens], cuts: dict[_Tokens, tuple[int, ...]]) -> list[PrefixGroup]:
    groups: dict[Path, list[int]] = {}
    for index, sequence in enumerate(sequences):
        lengths = cuts[sequence]
        path = Path(sequence[: lengths[-1]], lengths[:-1]) if lengths else NO_PREFIX
        groups.setdefault(path, []).append(index)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[0]), group[0].tokens))
    return [PrefixGroup(prefix=prefix, members=tuple(members)) for prefix, members in ordered]


def _grow(node: _Node, sequences: Sequence[_Tokens]) -> None:
    """Follow the node's sequences for as long as all of them go one way; then part those that go on together."""
    while True:
        end = node.num_tokens + CHUNK_TOKENS
        ways: dict[_Tokens, list[int]] = {}
        for member in node.members:
            if len(sequences[member]) > end:  # its last token is not looked at
                ways.setdefault(sequences[member][node.num_tokens : end], []).append(member)
        together = [members for members in ways.values() if len(members) > 1]
        if len(together) != 1 or len(together[0]) < len(node.members):
            node.children = [_Node(end, members) for members in together]
            return
        node.num_tokens = end
