"""People are told that a run waits: at least once, whatever dies in between; and a message that cannot be sent decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agent, Approval, ai, approve, ask, race, sleep, task
from agentflow.app.doctor import checkup
from agentflow.channels import ChannelError, Notice, People
from agentflow.channels.notice import EVENTS
from agentflow.errors import ConfigurationError, DefinitionError, RunFailed
from agentflow.records import RunState
from agentflow.storage.policy import Voter
from agentflow.streams.events import ApprovalEscalated, ApprovalReminded
from agentflow.testing import Engine, call, scripted_model, text
from tests.channels.receivers import Arrivals

PEOPLE = People(
    {"maria": {"board": "maria's desk"}, "olga": {"board": "olga's desk"}}, groups={"cash": ["maria"], "ops": ["olga", "maria"]}
)


@dataclass
class Board:
    """A channel of a user's own. It fails with `fails` first; while `blocked`, a message is taken and nobody hears that it was."""

    name: str = "board"
    reaches_people: bool = True
    events: frozenset[str] = EVENTS
    came: Arrivals = field(default_factory=Arrivals)
    fails: list[Exception] = field(default_factory=list[Exception])
    blocked: bool = False

    def owner(self, address: str) -> str | None:
        return None

    async def send(self, notice: Notice) -> str | None:
        if self.fails:
            raise self.fails.pop(0)
        self.came.take(notice)
        if self.blocked:
            await asyncio.get_running_loop().create_future()
        return f"note of {notice.address}"

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """What was told, where, and how the question was then."""
        return [(one.event, one.address, one.question.state) for one in self.came.all]


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
async def engine(tmp_path: Path, stream_server: str, engine_database: str | None, board: Board) -> AsyncIterator[Engine]:
    made = Engine(tmp_path, stream_server, database=engine_database, channels=[board], people=PEOPLE)
    await made.open()
    yield made
    await made.close()


@task(name="told.refund")
async def refund(order: str, told: dict[str, Any] | None = None) -> str:
    asked: dict[str, Any] = told or {"notify": ["board:wall"]}
    decision = await approve(f"Refund {order}?", body={"order": order}, expires="3d", **asked)
    return f"{decision.approved} by {decision.by}"


async def states(engine: Engine, waitpoint: str) -> list[tuple[str, str, str, int]]:
    return [(one.event, one.address, one.state.value, one.attempts) for one in await engine.app.waitpoints.deliveries(waitpoint)]


async def test_people_hear_that_they_are_asked_and_how_it_ended(engine: Engine, board: Board) -> None:
    run = await engine.start(refund, "o-1")
    [question] = await engine.waiting(run)
    [first] = await board.came.until(1)
    assert (first.question.title, first.question.body, first.question.run) == ("Refund o-1?", {"order": "o-1"}, run.id)
    assert first.question.expires_at == (question.record.due_at or 0) // 1_000
    await question.deny(by="maria", reason="no")
    assert await run.result() == "False by maria"
    [_, last] = await board.came.until(2)
    assert (last.event, last.question.state, last.question.by, last.question.reason) == ("resolved", "denied", "maria", "no")
    assert (first.id, last.id) == (f"{question.id}.1", f"{question.id}.2")
    assert (first.reference, last.reference) == (None, "note of wall")
    await engine.settle()
    assert await states(engine, question.id) == [("requested", "wall", "sent", 1), ("resolved", "wall", "sent", 1)]


async def test_a_message_that_was_sent_when_its_process_died_comes_again_under_the_same_id(engine: Engine, board: Board) -> None:
    board.blocked = True
    run = await engine.start(refund, "o-1")
    [question] = await engine.waiting(run)
    [first] = await board.came.until(1)
    await engine.stop()
    board.blocked = False
    await engine.go_on()
    await engine.clock.advance("2m")
    [_, again] = await board.came.until(2)
    assert (first.id, first.event) == (again.id, again.event)
    await engine.settle()
    assert await states(engine, question.id) == [("requested", "wall", "sent", 2)]
    await question.approve(by="maria")
    assert await run.result() == "True by maria"


async def test_what_fails_is_told_later_and_in_order_and_meanwhile_the_question_is_answered(engine: Engine, board: Board) -> None:
    board.fails = [ConnectionError("the board is away")] * 2
    run = await engine.start(refund, "o-1")
    [question] = await engine.waiting(run)
    await engine.settle()
    [failed] = await engine.app.waitpoints.deliveries(question.id)
    assert (failed.state, failed.error) == ("pending", "ConnectionError: the board is away")
    await engine.clock.advance("1m")
    assert board.told == [("requested", "wall", "pending")]
    assert (await states(engine, question.id))[0][2:] == ("sent", 3)


async def test_what_people_were_not_told_before_the_end_they_are_not_told_at_all(engine: Engine, board: Board) -> None:
    board.fails = [ConnectionError("the board is away")]
    run = await engine.start(refund, "o-1")
    [question] = await engine.waiting(run)
    await engine.settle()
    await question.approve(by="maria")
    assert await run.result() == "True by maria"
    await engine.clock.advance("1h")
    assert board.told == []
    assert [state for _, _, state, _ in await states(engine, question.id)] == ["dropped", "dropped"]


@pytest.mark.parametrize("error", [ChannelError("no such channel"), ConnectionError("away")])
async def test_a_message_that_cannot_be_sent_leaves_the_question_open_and_the_doctor_tells(
    engine: Engine, board: Board, error: Exception
) -> None:
    board.fails = [error] * 100
    run = await engine.start(refund, "o-1", {"notify": ["board:wall"]})
    [question] = await engine.waiting(run)
    await engine.clock.advance("12h")
    assert (await engine.get(run)).state is RunState.WAITING
    [(_, _, state, attempts)] = await states(engine, question.id)
    assert (state, attempts) == ("dead", 1 if isinstance(error, ChannelError) else 15)
    [found] = [one for one in await checkup(engine.app) if one.code == "undelivered"]
    assert str(error) in found.message
    board.fails = []
    await engine.app.waitpoints.remind(question.id, by="boss")
    assert [one.event for one in await board.came.until(1)] == ["reminded"]
    await engine.clock.advance("3d")
    assert await run.result() == "False by None"


async def test_all_who_may_decide_are_told_at_their_own_address(engine: Engine, board: Board) -> None:
    run = await engine.start(refund, "o-1", {"notify": ["board"], "groups": ["cash"], "users": ["olga"]})
    [question] = await engine.waiting(run)
    await board.came.until(2)
    assert sorted((one.address, one.person) for one in board.came.all) == [("maria's desk", "maria"), ("olga's desk", "olga")]
    await question.approve(by="olga")
    await run.result()
    await board.came.until(4)
    assert sorted(board.told[2:]) == [("resolved", "maria's desk", "approved"), ("resolved", "olga's desk", "approved")]


async def test_somebody_without_an_address_is_not_told_and_it_is_said(engine: Engine, board: Board) -> None:
    run = await engine.start(refund, "o-1", {"notify": ["board:group:unknown"]})
    [question] = await engine.waiting(run)
    await engine.settle()
    [one] = await engine.app.waitpoints.deliveries(question.id)
    assert (one.state, one.error) == (
        "pending",
        "There is no board address for group:unknown. Tell `people` their addresses, or name one in `notify`.",
    )
    assert board.told == []


async def test_reminders_and_escalation_come_once_at_their_time_also_after_a_crash(engine: Engine, board: Board) -> None:
    asked = {"notify": ["board:wall"], "users": ["maria"], "remind": ["4h", "1d"], "escalate": [("1d", "group:ops")]}
    run = await engine.start(refund, "o-1", asked)
    [question] = await engine.waiting(run)
    await board.came.until(1)
    await engine.clock.advance("4h")
    await board.came.until(2)
    await engine.crash()
    await engine.clock.advance("1d")
    await board.came.until(6)
    assert sorted((event, address) for event, address, _ in board.told[1:]) == [
        ("escalated", "maria's desk"),
        ("escalated", "olga's desk"),
        ("escalated", "wall"),
        ("reminded", "wall"),
        ("reminded", "wall"),
    ]
    told = [event.event for event in await engine.events(run)]
    assert [one for one in told if isinstance(one, ApprovalReminded | ApprovalEscalated)] == [
        ApprovalReminded(question.id),
        ApprovalReminded(question.id),
        ApprovalEscalated(question.id, "group:ops"),
    ]
    await engine.app.waitpoints.answer(question.id, {"approved": True}, by=Voter("olga", frozenset({"ops"})))
    assert await run.result() == "True by olga"
    votes = await engine.app.waitpoints.votes(question.id)
    assert [(one.actor, one.choice) for one in votes] == [("system:ladder", "escalate"), ("olga", "approve")]


async def test_reminders_and_escalation_are_told_to_the_audit(engine: Engine, board: Board) -> None:
    asked = {"notify": ["board:wall"], "users": ["maria"], "remind": ["1h"], "escalate": [("2h", "group:ops")]}
    run = await engine.start(refund, "o-1", asked)
    [question] = await engine.waiting(run)
    await engine.app.waitpoints.remind(question.id, by="boss")
    await engine.clock.advance("3h")
    told = [(one["waitpoint"], one["type"], one["actor"], one["detail"]) for one in await engine.app.audit.entries()]
    assert told == [
        (question.id, "remind", "boss", {}),
        (question.id, "escalate", "system:ladder", {"to": "group:ops"}),
    ]
    assert [one.choice for one in await engine.app.waitpoints.votes(question.id)] == ["remind", "escalate"]


async def test_the_ladder_ends_with_its_question(engine: Engine, board: Board) -> None:
    run = await engine.start(refund, "o-1", {"notify": ["board:wall"], "remind": ["1h"], "escalate": [("2h", "group:ops")]})
    [question] = await engine.waiting(run)
    await question.approve(by="maria")
    await run.result()
    await engine.clock.advance("5h")
    assert "reminded" not in [event for event, _, _ in board.told]
    assert len(await engine.app.waitpoints.deliveries(question.id)) == 2


async def test_others_who_are_asked_instead_are_told(engine: Engine, board: Board) -> None:
    run = await engine.start(refund, "o-1", {"notify": ["board"], "users": ["maria"]})
    [question] = await engine.waiting(run)
    await board.came.until(1)
    await engine.app.waitpoints.reassign(question.id, by="boss", users=["olga"])
    await board.came.until(2)
    assert board.told[1:] == [("reassigned", "olga's desk", "pending")]


async def test_a_question_that_goes_with_its_run_or_loses_a_race_is_told_to_be_over(engine: Engine, board: Board) -> None:
    @task(name="told.raced")
    async def raced() -> str:
        await race(approve("Wait?", notify=["board:wall"]), sleep("1h"))
        return "late"

    run = await engine.start(raced)
    await engine.waiting(run)
    await board.came.until(1)
    await engine.clock.advance("1h")
    assert await run.result() == "late"
    await board.came.until(2)
    other = await engine.start(refund, "o-2")
    await engine.waiting(other)
    await board.came.until(3)
    await other.cancel(reason="no")
    await engine.clock.advance("2m")
    await board.came.until(4)
    assert [(event, state) for event, _, state in board.told] == [
        ("requested", "pending"),
        ("resolved", "cancelled"),
        ("requested", "pending"),
        ("resolved", "cancelled"),
    ]


async def test_a_form_and_a_tool_tell_people_too(engine: Engine, board: Board) -> None:
    @task(name="told.form")
    async def form() -> int:
        return await ask(int, title="How many?", assign="user:maria", notify=["board"], remind=["1h"])

    run = await engine.start(form)
    [question] = await engine.waiting(run)
    await engine.clock.advance("1h")
    await board.came.until(2)
    assert board.told == [("requested", "maria's desk", "pending"), ("reminded", "maria's desk", "pending")]
    await question.answer(7, by="maria")
    assert await run.result() == 7
    [*_, last] = await board.came.until(3)
    assert (last.question.kind, last.question.state) == ("input", "answered")

    async def pay(cents: int) -> str:
        return "paid"

    tool = ai.tool(pay, approval=Approval(notify=["board:wall"], risk="high"))
    agent = Agent("told-payer", model=scripted_model([call("pay", {"cents": 5})], [text("done")]), tools=[tool])
    paying = await engine.start(agent, "pay")
    [question] = await engine.waiting(paying)
    [*_, asked] = await board.came.until(4)
    assert (asked.question.tool, asked.question.body, asked.question.risk) == ("pay", {"cents": 5}, "high")
    await question.approve(by="maria")
    assert await paying.result() == "done"


async def test_a_channel_that_is_not_there_is_an_error_where_it_is_named(engine: Engine) -> None:
    run = await engine.start(refund, "o-1", {"notify": ["bord:wall"]})
    with pytest.raises(RunFailed, match="no channel 'bord'"):
        await run.result()


@pytest.mark.parametrize("told", [{"notify": "slack"}, {"notify": [""]}, {"escalate": [("1d", "ops")]}, {"remind": ["soon"]}])
def test_what_nobody_could_be_told_is_an_error_where_it_is_written(told: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError):
        Approval(**told)


def test_two_channels_of_one_name_and_two_people_at_one_address_are_errors_at_once() -> None:
    from agentflow import Agentflow

    with pytest.raises(ConfigurationError, match="Two channels"):
        Agentflow(channels=[Board(), Board()])
    with pytest.raises(ConfigurationError, match="Two people"):
        People({"a": {"board": "x"}, "b": {"board": "x"}})
