"""Which sequences begin alike, and how much of that is worth computing once. Knows token ids and no model.

A prefix is cut at a multiple of 64 tokens, so that it is a property of the tokens; each sequence goes behind one at
most, the one that saves the most: of n sequences behind L tokens, n − 1 are spared L.

    P P P P P P P P | a a a            ┌ a a a
    P P P P P P P P | b b      ▷   P ──┼ b b
    P P P P P P P P | c c c c          └ c c c c
    x x x x                            x x x x
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

CHUNK_TOKENS = 64

_Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixGroup:
    """Sequences behind one prefix."""

    prefix: _Tokens
    """Of a multiple of CHUNK_TOKENS; empty for those that share nothing."""
    members: tuple[int, ...]
    """Their numbers, in order."""


@dataclass(slots=True)
class _Node:
    """A run of chunks that some sequences begin with. Mutable while the tree is built."""

    num_tokens: int
    num_sequences: int = 0
    children: dict[_Tokens, "_Node"] = field(default_factory=dict)

    @property
    def saved_tokens(self) -> float:
        """Per sequence, by computing these tokens once for all of them."""
        return self.num_tokens * (1.0 - 1.0 / self.num_sequences)


def group_by_prefix(sequences: Sequence[_Tokens]) -> list[PrefixGroup]:
    """The sequences by the prefix that each goes behind, the longest prefix first, those without one last.

    A sequence that stands there several times counts once. At least one token of each stays behind its prefix.
    """
    root = _Node(num_tokens=0)
    for sequence in dict.fromkeys(sequences):
        for node in _path(root, sequence, grow=True):
            node.num_sequences += 1
    groups: dict[_Tokens, list[int]] = {}
    for index, sequence in enumerate(sequences):
        best = max(_path(root, sequence), key=lambda node: node.saved_tokens, default=root)
        length = best.num_tokens if best.num_sequences > 1 else 0
        groups.setdefault(sequence[:length], []).append(index)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[0]), group[0]))
    return [PrefixGroup(prefix=prefix, members=tuple(members)) for prefix, members in ordered]


def _path(root: _Node, sequence: _Tokens, *, grow: bool = False) -> list[_Node]:
    """The nodes of a sequence's whole chunks, its last token left out."""
    nodes, node = [], root
    for end in range(CHUNK_TOKENS, len(sequence), CHUNK_TOKENS):
        chunk = sequence[end - CHUNK_TOKENS : end]
        if grow and chunk not in node.children:
            node.children[chunk] = _Node(num_tokens=end)
        node = node.children[chunk]
        nodes.append(node)
    return nodes
