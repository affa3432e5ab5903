"""Which sequences go behind which prefix: the whole is kept, and the grouping saves tokens."""

from hypothesis import given
from hypothesis import strategies as st

from ft_eval.engine.prefixes import CHUNK_TOKENS, NO_PREFIX, Path, PrefixGroup, group_by_prefix

HEAD = tuple(range(150))


def test_sequences_that_begin_alike_share_whole_chunks_and_keep_a_token_of_their_own() -> None:
    sequences = [(*HEAD, 1), (*HEAD, 2, 3), (7, 7, 7), HEAD[:128], HEAD[:129]]
    groups = {group.prefix: group.members for group in group_by_prefix(sequences, min_saved_tokens=1)}
    assert groups == {Path(HEAD[:128], (64,)): (0, 1, 4), Path(HEAD[:64]): (3,), NO_PREFIX: (2,)}


def test_what_spares_too_little_is_not_cut() -> None:
    many = [(*HEAD, number) for number in range(20)]
    deep = [(*HEAD, *[9] * 60, number) for number in range(2)]
    (group,) = group_by_prefix(many + deep, min_saved_tokens=65)
    assert group.prefix == Path(HEAD[:128])


def test_a_sequence_alone_has_no_prefix_however_often_it_is_asked() -> None:
    (group,) = group_by_prefix([HEAD] * 8, min_saved_tokens=1)
    assert group.prefix == NO_PREFIX


def test_a_passage_behind_few_shot_examples_is_computed_once_and_they_once_for_all() -> None:
    """A header of 1,024 tokens, 20 passages of 320 behind it, four questions of 40 about each."""
    header = tuple(range(1024))
    passages = [tuple(10_000 * number + t for t in range(320)) for number in range(20)]
    sequences = [(*header, *passage, *[question] * 40) for passage in passages for question in range(4)]
    groups = group_by_prefix(sequences, min_saved_tokens=128)
    assert len(groups) == 20
    assert all(len(group.prefix) == 1344 and group.prefix.cuts == (1024,) for group in groups)
    assert all(len(group.members) == 4 for group in groups)
    assert _num_computed(groups, sequences) == 1024 + 20 * 320 + 80 * 40


@given(
    st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=5), min_size=1, max_size=12),
    st.sampled_from([1, 128, 256]),
)
def test_every_sequence_is_in_one_group_and_begins_with_its_prefix(chunks: list[list[int]], min_saved: int) -> None:
    sequences = [tuple(digit for bit in bits for digit in [bit] * CHUNK_TOKENS) for bits in chunks]
    groups = group_by_prefix(sequences, min_saved_tokens=min_saved)
    assert sorted(index for group in groups for index in group.members) == list(range(len(sequences)))
    for group in groups:
        assert len(group.prefix) % CHUNK_TOKENS == 0
        for index in group.members:
            assert sequences[index][: len(group.prefix)] == group.prefix.tokens
            assert len(sequences[index]) > len(group.prefix)
    assert _num_computed(groups, sequences) <= sum(map(len, set(sequences)))


def _num_computed(groups: list[PrefixGroup], sequences: list[tuple[int, ...]]) -> int:
    """Tokens that one pass over the tree computes: every part of a path once, and what each sequence has behind it."""
    parts: set[tuple[int, ...]] = set()
    for group in groups:
        path: Path | None = group.prefix
        while path:
            parts.add((len(path) - len(path.parent or ()), *path.tokens))
            path = path.parent
    own = {sequences[i]: len(sequences[i]) - len(group.prefix) for group in groups for i in group.members}
    return sum(part[0] for part in parts) + sum(own.values())
