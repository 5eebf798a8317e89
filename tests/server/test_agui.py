"""AG-UI over HTTP: what the bytes are, how a conversation is followed, and streams that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json

from agentflow import Agent, Agentflow, WorkerSettings, ai
from agentflow.clock import SECOND
from agentflow.streams.courier import stream_key
from agentflow.streams.wire import Remote, Wire
from agentflow.testing.models import call, scripted_model, text, thinking
from tests.properties.agui_reader import AguiReader
from tests.server.site import PATIENCE, Frame, Site, site_of
from tests.server.tasks import greet

ANSWER = "It left on Monday."
Reply = list[Frame]


async def refund(cents: int) -> str:
    """Give money back."""
    return f"{cents} cents"


def agents() -> list[Any]:
    asking = [thinking("hm"), text("One moment. "), call("refund", {"cents": 5}, id="c1")]
    return [
        Agent("plain", model=scripted_model(*[[thinking("hm"), text(ANSWER)]] * 3), description="Answers."),
        Agent("asking", model=scripted_model(asking, [text(ANSWER)]), tools=[ai.tool(refund, approval=True)]),
        greet,
    ]


@pytest.fixture
async def site(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    async with Agentflow(agents(), directory=tmp_path, redis=stream_server) as app, site_of(app) as site:
        yield site


@pytest.fixture
async def wire(stream_server: str) -> AsyncIterator[Wire]:
    wire = Wire(Remote(stream_server))
    yield wire
    await wire.close()


def asked(run: str, *, thread: str = "t-1", said: str = "Where is it?", **more: Any) -> dict[str, Any]:
    return {"threadId": thread, "runId": run, "messages": [{"id": f"u-{run}", "role": "user", "content": said}], "tools": [], **more}


def frames(content: bytes) -> Reply:
    return [frame for one in content.split(b"\n\n") if one and (frame := Frame.of(one)).data is not None]


async def post(site: Site, agent: str, body: dict[str, Any]) -> Reply:
    reply = await site.client.post(f"/agui/{agent}", json=body)
    assert reply.status_code == 200, reply.text
    return frames(reply.content)


async def follow(site: Site, agent: str, thread: str = "t-1", last: str | None = None) -> Reply:
    reply = await site.client.get(f"/agui/{agent}/{thread}/stream", headers={} if last is None else {"last-event-id": last})
    assert reply.status_code == 200, reply.text
    return frames(reply.content)


def page(*replies: Reply, said: str | None = None) -> AguiReader:
    """A client that was told all this, after it `said` something."""
    reader = AguiReader()
    reader.messages = [] if said is None else [{"id": "u-r-1", "role": "user", "content": said}]
    for reply in replies:
        reader.connect()
        reader.take([frame.data or {} for frame in reply])
    return reader


def shown(reader: AguiReader) -> list[tuple[str, str]]:
    return [(one["role"], one.get("content", "")) for one in reader.messages]


async def test_frames_are_lf_only_one_line_each_without_a_null_and_without_a_sentinel(site: Site) -> None:
    reply = await site.client.post("/agui/plain", json=asked("r-1"))
    assert reply.headers["content-type"] == "text/event-stream"
    assert b"\r" not in reply.content
    assert b"[DONE]" not in reply.content
    assert b"event:" not in reply.content
    assert reply.content.startswith(b'retry: 1000\n\ndata: {"type":"RUN_STARTED"')
    for frame in frames(reply.content):
        assert None not in (frame.data or {}).values()
        assert len(frame.text.split(b"\n")) <= 2


async def test_a_reader_goes_on_behind_every_event_that_has_an_id(site: Site) -> None:
    whole = await post(site, "asking", asked("r-1"))
    [interrupt] = (whole[-1].data or {})["outcome"]["interrupts"]
    for at, frame in enumerate(whole[:-1]):
        if frame.id is not None:
            resumed = page([*whole[: at + 1], *await follow(site, "asking", last=frame.id)])
            assert (resumed.messages, resumed.interrupts) == (page(whole).messages, [interrupt])
    nothing = await site.client.get("/agui/asking/t-1/stream", headers={"last-event-id": str(whole[-1].id)})
    assert nothing.status_code == 204
    await site.app.waitpoints.approve(interrupt["id"], by="maria")
    run = str(whole[-1].id).partition(":")[0]
    await site.ended(run)
    later = await follow(site, "asking", last=str(whole[-1].id))
    assert [one.type for one in later[:1] + later[-1:]] == ["RUN_STARTED", "RUN_FINISHED"]
    assert shown(page(whole, later, said="Where is it?"))[-2:] == [("tool", "5 cents"), ("assistant", ANSWER)]
    assert (await site.client.get("/agui/asking/t-1/stream", headers={"last-event-id": str(later[-1].id)})).status_code == 204


async def test_a_browser_that_comes_without_anything_is_told_the_whole_conversation(site: Site) -> None:
    assert (await site.client.get("/agui/plain/t-1/stream")).status_code == 204
    first = await post(site, "plain", asked("r-1"))
    second = await post(site, "plain", asked("r-2", said="And now?"))
    await post(site, "plain", asked("r-3", thread="t-2", said="Of another conversation."))
    said = [*(one for one in page(first).messages), *(one for one in page(second).messages)]
    told = page(await follow(site, "plain"))
    thoughts = [("reasoning", "hm"), ("assistant", ANSWER)]
    assert shown(told) == [("user", "Where is it?"), *thoughts, ("user", "And now?"), *thoughts]
    assert [one["id"] for one in told.messages if one["role"] != "user"] == [one["id"] for one in said]
    assert [one["id"] for one in told.messages if one["role"] == "user"] == ["u-r-1", "u-r-2"]


async def test_a_stream_that_is_gone_is_told_from_the_database(site: Site, wire: Wire) -> None:
    whole = await post(site, "plain", asked("r-1"))
    run = (whole[0].data or {})["metadata"]["agentflowRunId"]
    await site.ended(run)
    await wire.call("DEL", stream_key(run))
    again = await post(site, "plain", asked("r-1"))
    assert [one.type for one in again] == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
    assert shown(page(again)) == [("user", "Where is it?"), *shown(page(whole))]
    lost = await site.client.get("/agui/plain/t-1/stream", headers={"last-event-id": str(whole[2].id or whole[3].id)})
    assert (lost.status_code, lost.json()["code"]) == (410, "stream_lost")
    rebuilt = str((await follow(site, "plain"))[-1].id)
    assert (await site.client.get("/agui/plain/t-1/stream", headers={"last-event-id": rebuilt})).status_code == 204


async def test_a_question_outlives_the_stream_in_which_it_was_asked(site: Site, wire: Wire) -> None:
    whole = await post(site, "asking", asked("r-1"))
    run = (whole[0].data or {})["metadata"]["agentflowRunId"]
    await wire.call("DEL", stream_key(run))
    again = await post(site, "asking", asked("r-1"))
    assert (again[-1].data or {})["outcome"] == (whole[-1].data or {})["outcome"]
    resume = [{"interruptId": page(again).interrupts[0]["id"], "status": "resolved", "payload": {"approved": True}}]
    following = await post(site, "asking", asked("r-1", resume=resume) | {"runId": "r-2"})
    assert shown(page(following)) == [
        ("user", "Where is it?"),
        ("reasoning", "hm"),
        ("assistant", "One moment. "),
        ("tool", "5 cents"),
        ("assistant", ANSWER),
    ]


async def test_answers_count_whatever_the_run_of_the_client_is_called(site: Site) -> None:
    whole = await post(site, "asking", asked("r-1"))
    resume = [{"interruptId": page(whole).interrupts[0]["id"], "status": "resolved", "payload": {"approved": True}}]
    assert shown(page(await post(site, "asking", asked("r-1", resume=resume))))[-1] == ("assistant", ANSWER)


async def test_what_a_lost_worker_had_said_is_taken_back_on_the_open_stream(tmp_path: Path, stream_server: str) -> None:
    speaking, silence = asyncio.Event(), asyncio.Event()
    pieces = count(1)

    async def pace(kind: str) -> None:
        if next(pieces) == 4:
            speaking.set()
            await silence.wait()

    talking = Agent("talking", model=scripted_model([thinking("hm"), text(ANSWER)], pace=pace))
    own: dict[str, Any] = {"directory": tmp_path, "redis": stream_server}
    quick = WorkerSettings(lease=SECOND, renew_every=SECOND // 4)
    lost = Agentflow([talking], worker=quick, **own)
    async with Agentflow([talking], worker=False, **own) as app, site_of(app) as site:
        await lost.open()
        reply = asyncio.create_task(post(site, "talking", asked("r-1")))
        await asyncio.wait_for(speaking.wait(), PATIENCE)
        assert lost.worker is not None
        await lost.worker.kill()
        silence.set()
        async with Agentflow([talking], worker=quick, **own):
            frames = await reply
        await lost.streams.close()
        await lost.database.close()
    assert shown(page(frames)) == [("user", "Where is it?"), ("reasoning", "hm"), ("assistant", ANSWER)]
    [attempt] = [frame.data for frame in frames if frame.type == "CUSTOM"]
    assert attempt is not None
    assert (attempt["name"], attempt["value"]["reason"]) == ("agentflow.attempt", "worker_lost")
    assert len(attempt["value"]["supersedes"]) == 2


async def test_the_same_ids_at_the_same_time_start_one_run(site: Site) -> None:
    replies = await asyncio.gather(*(post(site, "plain", asked("r-1")) for _ in range(5)))
    assert len({(reply[0].data or {})["metadata"]["agentflowRunId"] for reply in replies}) == 1
    assert {tuple(shown(page(reply))[-1:]) for reply in replies} == {(("assistant", ANSWER),)}
    assert len(await site.app.runs.list(task="plain")) == 1


async def test_a_message_beside_open_questions_is_refused_and_starts_nothing(site: Site) -> None:
    whole = await post(site, "asking", asked("r-1"))
    [interrupt] = page(whole).interrupts
    [refused] = await post(site, "asking", asked("r-2"))
    assert (refused.type, (refused.data or {})["code"]) == ("RUN_ERROR", "interrupts_open")
    assert interrupt["id"] in (refused.data or {})["message"]
    resume = [{"interruptId": interrupt["id"], "status": "cancelled"}]
    beside = await site.client.post("/agui/asking", json=asked("r-2", resume=resume))
    assert (beside.status_code, beside.json()["code"]) == (422, "invalid_request")
    [run] = await site.app.runs.list(task="asking")
    assert len(await site.app.runs.waiting_for(run.id)) == 1


async def test_a_client_that_saw_its_run_fail_may_say_something_new(site: Site) -> None:
    whole = await post(site, "asking", asked("r-1"))
    [interrupt] = page(whole).interrupts
    run = (whole[0].data or {})["metadata"]["agentflowRunId"]
    await site.app.runs.cancel(run, "enough")
    await site.ended(run)
    resume = [{"interruptId": interrupt["id"], "status": "cancelled"}]
    following = await post(site, "asking", asked("r-2", resume=resume))
    assert (following[0].data or {})["metadata"]["agentflowRunId"] != run
    late = [{"interruptId": interrupt["id"], "status": "resolved", "payload": {"approved": True}}]
    [refused] = await post(site, "asking", asked("r-1", resume=late) | {"runId": "r-4"})
    assert (refused.data or {})["code"] == "waitpoint_timed_out"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"threadId": "t-1", "runId": "r-1", "messages": []}, 422, "invalid_request"),
        (asked("r-1") | {"messages": [{"id": "a", "role": "assistant", "content": "hm"}]}, 422, "invalid_request"),
        (asked("r-1", said=" "), 422, "invalid_request"),
        (asked("r-1") | {"messages": [{"id": "u", "role": "user", "content": [{"type": "image"}]}]}, 422, "invalid_request"),
        (asked("r-1") | {"runId": ""}, 422, "invalid_request"),
        (asked("r-1") | {"messages": [{"id": "u", "role": "robot", "content": "hi"}]}, 422, "invalid_request"),
    ],
    ids=["no message", "not the user's", "empty", "an image", "no id", "no role"],
)
async def test_what_cannot_be_answered_is_refused(site: Site, body: dict[str, Any], status: int, code: str) -> None:
    reply = await site.client.post("/agui/plain", json=body)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert await site.app.runs.list(task="plain") == []


async def test_only_agents_are_spoken_to(site: Site) -> None:
    for name in ("nobody", "greet"):
        for path in (f"/agui/{name}/capabilities", f"/agui/{name}/t-1/stream"):
            assert (await site.client.get(path)).status_code == 404
        assert (await site.client.post(f"/agui/{name}", json=asked("r-1"))).json()["code"] == "unknown_task"


async def test_an_event_of_another_conversation_is_no_place_to_go_on_from(site: Site) -> None:
    whole = await post(site, "plain", asked("r-1"))
    await post(site, "plain", asked("r-2", thread="t-2"))
    reply = await site.client.get("/agui/plain/t-2/stream", headers={"last-event-id": str(whole[-1].id)})
    assert (reply.status_code, reply.json()["code"]) == (404, "run_not_found")
    assert (await site.client.get("/agui/plain/t-1/stream", headers={"last-event-id": "nonsense"})).status_code == 400


async def test_the_parts_of_a_text_are_joined_and_an_unknown_field_is_let_through(site: Site) -> None:
    parts = [{"type": "text", "text": "Where"}, {"type": "text", "text": "is it?"}]
    message = {"id": "u", "role": "user", "content": parts, "later": 1}
    reply = await post(site, "plain", asked("r-1", protocolVersion="1.7", parentRunId="r-0") | {"messages": [message]})
    run = await site.app.runs.get((reply[0].data or {})["metadata"]["agentflowRunId"])
    assert (from_json(run.input), set(run.tags)) == ({"prompt": "Where\nis it?"}, {"thread:t-1", "message:u"})


async def test_capabilities_name_what_is_there(site: Site) -> None:
    told = (await site.client.get("/agui/plain/capabilities")).json()
    assert told["identity"] == {"name": "plain", "type": "agentflow", "description": "Answers."}
    assert told["transport"]["resumable"] is True
    assert (told["humanInTheLoop"]["interrupts"], told["humanInTheLoop"]["approveWithEdits"]) == (True, True)
    assert told["tools"]["clientProvided"] is False


async def test_head_answers_with_the_headers_alone(site: Site) -> None:
    await post(site, "plain", asked("r-1"))
    reply = await site.client.head("/agui/plain/t-1/stream")
    assert (reply.status_code, reply.content, reply.headers["content-type"]) == (200, b"", "text/event-stream")


async def test_a_run_that_is_deleted_under_its_reader_is_an_error_that_says_so(site: Site) -> None:
    waiting = await post(site, "asking", asked("r-1"))
    run = (waiting[0].data or {})["metadata"]["agentflowRunId"]
    await site.app.runs.cancel(run, "enough")
    await site.ended(run)
    await site.app.runs.delete(run)
    reply = await site.client.get("/agui/asking/t-1/stream", headers={"last-event-id": str(waiting[-1].id)})
    assert reply.status_code == 404
