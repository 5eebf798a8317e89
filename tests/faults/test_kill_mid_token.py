"""A worker that dies while its model speaks: readers are told what is void, then get only what another worker says, and the end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agentflow
from agentflow.streams import events as e
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.fold import Fold
from tests.faults.speaker import FIRST_TURN, PIECE, answer, plan, thought
from tests.faults.speakers import Speaker
from tests.server.site import PATIENCE, Frame, Site, site_of

KINDS: dict[str, type[Any]] = {kind.type: kind for kind in e.KINDS}
ENOUGH = 100
"""Pieces: more than a model says."""
CUTS = 24
"""Readers that are cut off, one after each number of frames."""

Said = list[tuple[str, dict[str, Any]]]
"""Events by their ids."""


Hire = Callable[[str], Coroutine[Any, Any, Speaker]]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A server that does no work, on the embedded default."""
    async with Agentflow(directory=tmp_path, worker=False) as app, site_of(app) as opened:
        yield opened


@pytest.fixture
async def hire(tmp_path: Path, site: Site) -> AsyncIterator[Hire]:
    """Load speakers; they work when told to."""
    hired: list[Speaker] = []

    async def load(voice: str) -> Speaker:
        one = await Speaker.start(tmp_path, voice)
        hired.append(one)
        await one.heard("loaded")
        return one

    yield load
    for one in hired:
        await one.kill()


class Reader:
    """A reader that is connected from the beginning to the end."""

    def __init__(self, site: Site, run_id: str) -> None:
        self.frames: list[Frame] = []
        self._moved = asyncio.Condition()
        self.done = asyncio.create_task(self._read(site, run_id))

    async def _read(self, site: Site, run_id: str) -> None:
        async with aclosing(site.frames(run_id)) as frames:
            async for frame in frames:
                async with self._moved:
                    self.frames.append(frame)
                    self._moved.notify_all()

    async def heard(self, *, pieces: int, losses: int = 0) -> None:
        """Return once the worker after so many losses has said so many pieces."""
        async with asyncio.timeout(PATIENCE), self._moved:
            await self._moved.wait_for(lambda: (len(lost_at(self.frames)), said_since(self.frames)) == (losses, pieces))


def lost_at(frames: Sequence[Frame]) -> list[int]:
    """Where another worker went on."""
    return [at for at, frame in enumerate(frames) if frame.data and frame.type == "run.attempt" and frame.data["reason"] == "worker_lost"]


def said_since(frames: Sequence[Frame]) -> int:
    """How many pieces the worker that speaks now has said."""
    mine = frames[max(lost_at(frames), default=0) :]
    written = sum(len(frame.data["delta"]) for frame in mine if frame.data and "delta" in frame.data)
    return written // PIECE + sum(frame.type == "tool.input.start" for frame in mine)


def said(frames: Sequence[Frame]) -> Said:
    """The events of frames."""
    return [(frame.id, frame.data) for frame in frames if frame.id is not None and frame.data is not None]


def joined(events: Said) -> Said:
    """Events with neighbouring deltas of one part as one: where a server joins them, nobody may rely on."""
    kept: Said = []
    for id, data in events:
        before = kept[-1][1] if kept else {}
        if "delta" in data and {**data, "delta": ""} == {**before, "delta": ""}:
            kept[-1] = (id, {**data, "delta": before["delta"] + data["delta"]})
        else:
            kept.append((id, data))
    return kept


def folded(events: Said) -> Fold:
    """What a client makes of events."""
    fold = Fold()
    for id, data in events:
        kind = KINDS[data["type"]]
        fields = {name: value for name, value in data.items() if name not in ("type", "ts")}
        assert fold.apply(StoredEvent(Cursor.parse(id), data.get("ts", 0), kind(**fields)))
    return fold


async def stored(site: Site, run_id: str) -> Said:
    """Every event of an ended run as its log has it."""
    every: dict[str, Any] = await site.events(run_id, limit=1_000)
    assert every["ended"]
    return [(event["id"], {name: value for name, value in event.items() if name != "id"}) for event in every["events"]]


async def check_every_cut_point(site: Site, run_id: str, whole: Sequence[Frame]) -> None:
    """A reader that comes back with any id gets all that follows it and nothing else."""
    log = await stored(site, run_id)
    assert joined(said(whole)) == joined(log)
    assert {id for id, _ in said(whole)} <= {id for id, _ in log}
    for at, (id, _) in enumerate(log):
        rest = said(await site.read(run_id, last=id))
        assert joined(rest) == joined(log[at + 1 :])
        assert folded(log[: at + 1] + rest) == folded(log)


def check_what_a_reader_saw(frames: Sequence[Frame], voices: Sequence[str]) -> None:
    """Each loss is told once, what was open is void, and from there on only the next voice is heard."""
    events = said(frames)
    assert [data["type"] for _, data in events].count("end") == 1
    assert events[-1][1] == {"type": "end", "ts": events[-1][1]["ts"], "status": "completed"}
    assert [id for id, _ in events] == [str(one) for one in sorted({Cursor.parse(id) for id, _ in events})]
    places = lost_at(frames)
    assert len(places) == len(voices) - 1
    for voice, at, after in zip(voices[1:], places, [*places[1:], len(frames)], strict=True):
        told = frames[at].data
        assert told is not None
        assert all(Cursor.parse(id).epoch >= told["epoch"] for id, _ in said(frames[at:after]))
        check_only_new_words(frames[:at], told, frames[at + 1 : after], voice)


def check_only_new_words(before: Sequence[Frame], told: dict[str, Any], after: Sequence[Frame], voice: str) -> None:
    """What the steps of `supersedes` had begun begins anew: with its start, and from the first word."""
    fold = folded(said(before))
    assert set(told["supersedes"]) == {step.id for step in fold.steps.values() if step.state == "running"}
    assert any(step.startswith("guide#0/turn:") for step in told["supersedes"])
    begun: dict[str, str] = {}
    for frame in after:
        data = frame.data or {}
        if frame.type in ("text.start", "reasoning.start"):
            begun[data["part"]] = ""
        elif frame.type in ("text.delta", "reasoning.delta"):
            begun[data["part"]] += data["delta"]
    whole = plan(voice), thought(voice), answer(voice)
    assert all(any(text and one.startswith(text) for one in whole) for text in begun.values())


LOST = [
    pytest.param([1], id="in its first thought"),
    pytest.param([4], id="in the input of a call"),
    pytest.param([FIRST_TURN + 2], id="in a thought of the second turn"),
    pytest.param([FIRST_TURN + 5, 3 + 4], id="in its answer, and the next one too"),
]


@pytest.mark.parametrize("said_before", LOST)
async def test_after_a_kill_in_mid_token_readers_hear_what_is_void_then_only_new_words_then_the_end(
    site: Site, hire: Hire, tmp_path: Path, said_before: list[int]
) -> None:
    voices = ["Ada", "Bea", "Cleo"][: len(said_before) + 1]
    speakers = await asyncio.gather(*map(hire, voices))
    await speakers[0].work()
    run_id = await site.start("guide", prompt="Where is my order?")
    reader = Reader(site, run_id)
    cut = [asyncio.create_task(read_with_a_cut(site, run_id, count)) for count in range(CUTS)]
    for number, (speaker, count, heir) in enumerate(zip(speakers[:-1], said_before, speakers[1:], strict=True)):
        speaker.allow(count)
        await reader.heard(pieces=count, losses=number)
        await speaker.kill()
        await heir.work()
    speakers[-1].allow(ENOUGH)
    await reader.done

    check_what_a_reader_saw(reader.frames, voices)
    fold = folded(said(reader.frames))
    first = voices[0] if said_before[0] > FIRST_TURN else voices[-1]
    assert (fold.text, fold.reasoning) == (answer(voices[-1]), plan(first) + thought(voices[-1]))
    assert (fold.state, fold.output) == ("completed", answer(voices[-1]))
    assert [call.state for call in fold.calls.values()] == ["completed"]
    assert len((tmp_path / "bodies").read_text().splitlines()) == 1
    for events in await asyncio.gather(*cut):
        assert joined(events) == joined(said(reader.frames))
    await check_every_cut_point(site, run_id, reader.frames)


async def read_with_a_cut(site: Site, run_id: str, count: int) -> Said:
    """Read some frames of a live run, be cut off, come back at once with the last id, as an EventSource does."""
    got: list[Frame] = []
    async with aclosing(site.frames(run_id)) as frames:
        async for frame in frames:
            got.append(frame)
            if len(got) > count:
                break
    events = said(got)
    if not events or events[-1][1]["type"] != "end":
        events += said(await site.read(run_id, last=events[-1][0] if events else None))
    return events


@pytest.mark.parametrize("over", [False, True], ids=["while another speaks", "after the end"])
async def test_a_worker_that_wakes_up_after_its_lease_says_nothing_more(site: Site, hire: Hire, tmp_path: Path, over: bool) -> None:
    zombie, heir = await asyncio.gather(hire("Ada"), hire("Bea"))
    await zombie.work()
    run_id = await site.start("guide", prompt="Where is my order?")
    reader = Reader(site, run_id)
    zombie.allow(FIRST_TURN + 5)
    await reader.heard(pieces=FIRST_TURN + 5)
    zombie.signal(signal.SIGSTOP)
    await heir.work()
    heir.allow(4)
    await reader.heard(pieces=4, losses=1)
    if over:
        heir.allow(ENOUGH)
        await reader.done
    zombie.allow(ENOUGH)
    zombie.signal(signal.SIGCONT)
    await zombie.heard("left")
    heir.allow(ENOUGH)
    await reader.done

    check_what_a_reader_saw(reader.frames, ["Ada", "Bea"])
    assert folded(said(reader.frames)).text == answer("Bea")
    assert await site.app.runs.get(run_id) == await site.app.runs.ended(run_id)
    assert folded(await stored(site, run_id)).output == answer("Bea")
    assert len((tmp_path / "bodies").read_text().splitlines()) == 1
    await check_every_cut_point(site, run_id, reader.frames)
