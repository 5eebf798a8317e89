"""Server-sent events, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agentflow.client.sse import Frame, FrameParser

TEXT = (
    '\ufeffretry: 1000\n\nid: 3-1\ndata: {"type":"text.delta","delta":" häl🙂"}\n\n: hb\n\n'
    "id: 3-2\r\ndata:first\r\ndata: second\r\n\r\nevent: other\rdata: third\r\rdata\n\nid: 3-3\n\n"
).encode()
FRAMES = [Frame("3-1", '{"type":"text.delta","delta":" häl🙂"}'), Frame("3-2", "first\nsecond"), Frame(None, "third"), Frame(None, "")]


def parsed(parts: list[bytes]) -> list[Frame]:
    parser = FrameParser()
    return [frame for part in parts for frame in parser.feed(part)]


def test_frames_are_the_same_wherever_the_bytes_are_cut() -> None:
    for at in range(len(TEXT) + 1):
        assert parsed([TEXT[:at], TEXT[at:]]) == FRAMES


@given(st.lists(st.integers(0, len(TEXT))))
def test_frames_are_the_same_however_often_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TEXT)]
    assert parsed([TEXT[start:end] for start, end in pairwise(edges)]) == FRAMES


def test_a_frame_that_is_not_whole_is_none() -> None:
    assert parsed([b"id: 1-1\ndata: half"]) == []
    assert parsed([b"id: 1-1\ndata: half\n"]) == []
