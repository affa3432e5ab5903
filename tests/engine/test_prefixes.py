"""Which sequences go behind which prefix: the whole is kept, and the grouping saves tokens."""

from hypothesis import given
from hypothesis import strategies as st

from ft_eval.engine.prefixes import CHUNK_TOKENS, group_by_prefix

HEAD = tuple(range(150))


def test_sequences_that_begin_alike_share_whole_chunks_and_keep_a_token_of_their_own() -> None:
    sequences = [(*HEAD, 1), (*HEAD, 2, 3), (7, 7, 7), HEAD[:128], HEAD[:129]]
    groups = {group.prefix: group.members for group in group_by_prefix(sequences)}
    assert groups == {HEAD[:128]: (0, 1, 4), HEAD[:64]: (3,), (): (2,)}


def test_the_longest_prefix_is_not_chosen_where_a_shorter_one_saves_more() -> None:
    many = [(*HEAD, number) for number in range(20)]
    deep = [(*HEAD, *[9] * 60, number) for number in range(2)]
    (group,) = group_by_prefix(many + deep)
    assert group.prefix == HEAD[:128]


def test_a_sequence_alone_has_no_prefix_however_often_it_is_asked() -> None:
    (group,) = group_by_prefix([HEAD] * 8)
    assert group.prefix == ()


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=5), min_size=1, max_size=12))
def test_every_sequence_is_in_one_group_and_begins_with_its_prefix(chunks: list[list[int]]) -> None:
    sequences = [tuple(digit for bit in bits for digit in [bit] * CHUNK_TOKENS) for bits in chunks]
    groups = group_by_prefix(sequences)
    assert sorted(index for group in groups for index in group.members) == list(range(len(sequences)))
    for group in groups:
        assert len(group.prefix) % CHUNK_TOKENS == 0
        for index in group.members:
            assert sequences[index][: len(group.prefix)] == group.prefix
            assert len(sequences[index]) > len(group.prefix)
    num_computed = sum(len(g.prefix) for g in groups) + sum(
        len(sequences[i]) - len(g.prefix) for g in groups for i in g.members
    )
    assert num_computed <= sum(map(len, sequences))
