"""The time that people take: it is no tool's, it ends when it ends whatever clocks are set to, and silence of a channel is no answer."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentflow import Agent, Approval, ai, approve, step, task
from agentflow.channels import Email
from agentflow.clock import SECOND
from agentflow.errors import WaitpointAlreadyAnswered, WaitpointTimedOut
from agentflow.records import DeliveryState
from agentflow.testing import Engine
from agentflow.testing.engine import Waiting
from agentflow.testing.models import call, scripted_model, text

HOUR = 3_600 * SECOND


@task(name="human-time")
async def refund() -> str:
    decision = await approve("Refund o-1?", expires="30m")
    return f"{decision.approved} by {decision.by}, expired: {decision.expired}"


async def votes(engine: Engine, waiting: Waiting) -> list[tuple[str, bool, str | None]]:
    return [(vote.actor, vote.counted, vote.why) for vote in await engine.app.waitpoints.votes(waiting.id)]


async def test_an_answer_counts_once_while_the_clock_is_an_hour_back(engine: Engine) -> None:
    run = await engine.start(refund)
    [waiting] = await engine.waiting(run)
    engine.clock.set(engine.clock.now() - HOUR)
    await engine.clock.advance("59m")
    assert (await engine.app.waitpoints.get(waiting.id)).state == "pending", "its time is not over by any clock"
    await waiting.approve(by="maria")
    with pytest.raises(WaitpointAlreadyAnswered, match="maria"):
        await waiting.deny(by="otto")
    assert await run.result() == "True by maria, expired: False"
    await engine.clock.advance("3h")
    assert (await engine.app.waitpoints.get(waiting.id)).answered_by == "maria", "the timer of what has ended ends nothing"


async def test_a_clock_that_is_set_over_the_deadline_has_one_end_and_the_truth_is_told(engine: Engine) -> None:
    run = await engine.start(refund)
    [waiting] = await engine.waiting(run)
    began = engine.clock.now()
    engine.clock.set(began - HOUR)
    await engine.clock.advance("1s")
    engine.clock.set(began + HOUR)
    # Nobody has noticed yet, and no timer has rung.
    with pytest.raises(WaitpointTimedOut):
        await waiting.approve(by="maria")
    await engine.clock.advance("1s")
    assert await run.result() == "False by None, expired: True"
    engine.clock.set(began)
    with pytest.raises(WaitpointTimedOut):
        await waiting.approve(by="otto")
    await engine.clock.advance("2h")
    assert (await engine.app.waitpoints.get(waiting.id)).state == "timed_out"
    assert await votes(engine, waiting) == [("maria", False, "waitpoint_timed_out"), ("otto", False, "waitpoint_timed_out")]
    ends = [one for one in await engine.app.waitpoints.audit.entries() if one["type"] == "timeout"]
    assert len(ends) == 1
    assert (await engine.app.waitpoints.audit.verify()).broken is None


began: list[str] = []


@step(name="human-time-pay", timeout="10s")
async def pay(order: str) -> str:
    """Pay an order back."""
    began.append(order)
    return f"paid {order}"


async def test_three_days_of_a_person_are_no_time_of_the_tool_that_they_are_asked_about(engine: Engine) -> None:
    began.clear()
    model = scripted_model([call("human-time-pay", {"order": "o-1"}, id="c")], [text("done")])
    run = await engine.start(Agent("human-time-cash", model=model, tools=[ai.tool(pay, timeout="10s", approval=Approval())]), "go")
    [waiting] = await engine.waiting(run)
    await engine.clock.advance("3d")
    assert began == [], "nothing runs while a person thinks"
    await engine.crash()
    await waiting.approve(by="maria")
    assert await run.result() == "done"
    assert began == ["o-1"]
    assert [getattr(part, "content", None) for part in model.requests[1].messages[-1].parts] == ["paid o-1"]


class TestDown:
    """No mail server is there."""

    @pytest.fixture
    async def engine(self, tmp_path: Path, stream_server: str) -> AsyncIterator[Engine]:
        with socket.socket() as taken:
            # Bound and not listening: whoever connects is refused.
            taken.bind(("127.0.0.1", 0))
            channel = Email(smtp=f"smtp://127.0.0.1:{taken.getsockname()[1]}", from_="agents@acme.test")
            made = Engine(tmp_path, stream_server, channels=[channel])
            await made.open()
            yield made
            await made.close()

    async def test_what_cannot_be_told_stays_open_is_tried_again_and_its_silence_is_no(self, engine: Engine) -> None:
        @task(name="human-time-down")
        async def publish() -> str:
            decision = await approve("Publish?", expires="1d", notify=["email:maria@acme.test"])
            return f"{decision.approved} by {decision.by}"

        first, second = await engine.start(publish), await engine.start(publish)
        [answered], [silent] = await engine.waiting(first), await engine.waiting(second)
        await engine.clock.advance("10m")
        [told] = await engine.app.waitpoints.deliveries(answered.id)
        assert told.state is DeliveryState.PENDING
        assert told.attempts > 1
        assert told.error
        assert (await engine.app.waitpoints.get(answered.id)).state == "pending"
        await answered.approve(by="maria")
        assert await first.result() == "True by maria", "who finds it elsewhere decides"
        await engine.clock.advance("1d")
        assert await second.result() == "False by None"
        assert (await engine.app.waitpoints.get(silent.id)).state == "timed_out"
