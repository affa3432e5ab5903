"""Frames survive any cutting of the stream, and nothing else than frames is taken for one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_eval.sandbox import frames


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(frames.KINDS)), st.binary(max_size=50)), max_size=5), st.data())
def test_frames_come_out_whole_however_the_stream_is_cut(sent: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    stream = b"".join(frames.pack(kind, index, 0.5, body) for index, (kind, body) in enumerate(sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    pieces = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    reader = frames.FrameReader(50)
    got = [frame for piece in pieces for frame in reader.feed(piece)]
    assert got == [frames.Frame(kind, index, 0.5, body) for index, (kind, body) in enumerate(sent)]


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    reader = frames.FrameReader(10)
    with pytest.raises(frames.FrameError):
        list(reader.feed(frames.pack(frames.ANSWER, body=b"x" * 11)[:20]))


def test_an_unknown_kind_is_refused_after_the_frames_before_it() -> None:
    reader = frames.FrameReader(10)
    taken: list[frames.Frame] = []
    with pytest.raises(frames.FrameError):
        taken.extend(reader.feed(frames.pack(frames.ANSWER, body=b"1") + frames.pack(b"?")))
    assert [frame.body for frame in taken] == [b"1"]
