"""What is to be told of waitpoints: written with the change that it tells of, sent by one at a time, each rung taken once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agentflow.database import Database
from agentflow.errors import WaitpointError, WaitpointTimedOut
from agentflow.records import DeliveryRecord, DeliveryState, WaitKind, WaitState
from agentflow.serde import dumps, loads
from agentflow.storage import deciding, ladder, outbox, superseding, transitions, upkeep, waitpoints
from agentflow.storage.deciding import Ballot
from agentflow.storage.ladder import RemindedAlready
from agentflow.storage.outbox import Address, Sender, Settled
from agentflow.storage.policy import Voter
from agentflow.storage.waitpoints import NewWaitpoint
from tests.contracts.stock import DONE, NOW, SPENT, leased

pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)

MINUTE = 60_000_000
SLACK = Sender("one", ("slack", "email"))
OTHER = Sender("another", ("slack", "email"))
SENT = Settled(state=DeliveryState.SENT, reference="m1")
NOTIFY = {"title": "?", "groups": ["cash"], "notify": ["slack:#ops", "email"]}


async def ask(database: Database, number: int = 1, **subject: object) -> str:
    lease = await leased(database, "a", number)
    new = NewWaitpoint(id=f"wp_{number}", key="approve#0", kind=WaitKind.APPROVAL, attempt=1, subject=dumps({**NOTIFY, **subject}))
    await database.transact(waitpoints.create(lease, new, NOW))
    return new.id


async def told(database: Database, waitpoint: str = "wp_1") -> list[tuple[str, str, str, str]]:
    found = await database.read(outbox.of_waitpoint(waitpoint))
    return [(one.event, one.channel, one.address, one.state.value) for one in found]


async def claim(database: Database, sender: Sender = SLACK, now: int = NOW) -> list[DeliveryRecord]:
    return await database.transact(outbox.claim(sender, now + MINUTE, 10, now))


def ballot(choice: str, answer: str = '{"approved":true}') -> Ballot:
    return Ballot(voter=Voter("maria"), choice=choice, answer=answer)


async def test_who_is_to_be_told_is_written_with_the_waitpoint_and_not_without_it(database: Database) -> None:
    await ask(database)
    assert await told(database) == [("requested", "slack", "#ops", "pending"), ("requested", "email", "", "pending")]
    lease = await leased(database, "a", 2)
    lost = replace(lease, epoch=lease.epoch + 1)
    new = NewWaitpoint(id="wp_2", key="approve#0", kind=WaitKind.APPROVAL, attempt=1, subject=dumps(NOTIFY))
    with pytest.raises(BaseException, match="run_2"):
        await database.transact(waitpoints.create(lost, new, NOW))
    assert await told(database, "wp_2") == []


async def test_a_waitpoint_that_nobody_is_told_of_writes_nothing(database: Database) -> None:
    lease = await leased(database, "a", 1)
    subject = dumps({"title": 'they wrote "notify" and "ladder"', "body": {"notify": ["slack"]}})
    new = NewWaitpoint(id="wp_1", key="approve#0", kind=WaitKind.APPROVAL, attempt=1, subject=subject)
    await database.transact(waitpoints.create(lease, new, NOW))
    await database.transact(deciding.decide("wp_1", ballot("approve"), NOW))
    assert await told(database) == []


async def test_of_two_that_send_at_once_each_message_has_one_and_an_address_is_told_one_thing_after_the_other(
    database: Database, other: Database
) -> None:
    for number in range(20):
        await ask(database, number)
        await database.transact(deciding.reassign(f"wp_{number}", ballot("reassign", '{"to":{"groups":["boss"]}}'), NOW))
    taken = await asyncio.gather(*(claim(one, sender) for one, sender in [(database, SLACK), (other, OTHER)] * 5))
    claimed = [one for some in taken for one in some]
    assert len(claimed) == len({one.id for one in claimed}) == 40
    assert {one.event for one in claimed} == {"requested"}
    assert await claim(database) == []
    for one in claimed:
        for holder in ("one", "another"):
            await database.transact(outbox.settle(one, holder, SENT, NOW))
    assert {one.event for one in [*await claim(database), *await claim(database)]} == {"reassigned"}


async def test_what_a_dead_process_was_sending_is_sent_by_another_under_the_same_id_and_its_late_word_does_not_count(
    database: Database,
) -> None:
    await ask(database, notify=["slack:#ops"])
    [first] = await claim(database)
    assert await claim(database, OTHER, NOW + MINUTE - 1) == []
    [again] = await claim(database, OTHER, NOW + MINUTE)
    assert (again.id, again.attempts) == (first.id, 2)
    assert not await database.transact(outbox.settle(first, "one", SENT, NOW))
    assert await database.transact(outbox.settle(again, "another", SENT, NOW))
    assert await told(database) == [("requested", "slack", "#ops", "sent")]
    assert await claim(database, SLACK, NOW + 10 * MINUTE) == []


async def test_a_channel_that_a_process_has_not_is_left_to_others(database: Database) -> None:
    await ask(database)
    assert [one.channel for one in await claim(database, Sender("x", ("email",)))] == ["email"]
    assert await database.read(outbox.next_due(Sender("x", ("email",)))) == NOW + MINUTE
    assert await database.read(outbox.next_due(Sender("x", ("pager",)))) is None


@pytest.mark.parametrize("way", ["approve", "timeout", "cancel", "supersede", "run"])
async def test_whoever_was_told_hears_of_the_end_whatever_ends_it(database: Database, way: str) -> None:
    lease = await leased(database, "a", 1)
    subject = dumps({**NOTIFY, "ladder": [{"after": MINUTE}]})
    new = NewWaitpoint(id="wp_1", key="approve#0", kind=WaitKind.APPROVAL, attempt=1, subject=subject, due_at=NOW + 1)
    await database.transact(waitpoints.create(lease, new, NOW))
    for one in await claim(database):
        await database.transact(outbox.settle(one, "one", SENT, NOW))
    if way == "approve":
        await database.transact(deciding.decide("wp_1", ballot("approve"), NOW))
    elif way == "timeout":
        [(id, ending)] = await database.read(waitpoints.due(NOW + 1, 10))
        await database.transact(waitpoints.end(id, ending, NOW + 1))
    elif way == "cancel":
        await database.transact(deciding.withdraw("wp_1", ballot("cancel", "{}"), NOW))
    elif way == "supersede":
        await database.transact(superseding.supersede(lease, None, ["approve#0"], NOW))
    else:
        await database.transact(transitions.finish(lease, DONE, SPENT, NOW))
    ended = await told(database)
    assert ended[2:] == [("resolved", "email", "", "pending"), ("resolved", "slack", "#ops", "pending")]
    assert await database.read(ladder.due(NOW + MINUTE, 10)) == []
    [mail, slack] = sorted(await claim(database, now=NOW + 1), key=lambda one: one.channel)
    assert await database.read(outbox.before(slack)) == (True, "m1")
    assert mail.event == slack.event == "resolved"


async def test_a_rung_is_taken_once_by_however_many_and_brings_in_who_may_decide(database: Database, other: Database) -> None:
    await ask(database, ladder=[{"after": MINUTE}, {"after": 2 * MINUTE, "to": "group:ops"}])
    assert await database.read(ladder.due(NOW + MINUTE - 1, 10)) == []
    [(id, seq)] = await database.read(ladder.due(NOW + MINUTE, 10))
    took = await asyncio.gather(*(one.transact(ladder.climb(id, seq, NOW + MINUTE)) for one in (database, other, database, other)))
    assert len([one for one in took if one is not None]) == 1
    [(id, seq)] = await database.read(ladder.due(NOW + 2 * MINUTE, 10))
    climbed = await other.transact(ladder.climb(id, seq, NOW + 2 * MINUTE))
    assert climbed is not None
    assert climbed.to == "group:ops"
    now = await database.read(waitpoints.get("wp_1"))
    assert loads(now.subject)["groups"] == ["cash", "ops"]
    [said] = await database.read(deciding.votes("wp_1"))
    assert (said["actor"], said["choice"], said["counted"]) == ("system:ladder", "escalate", 1)
    assert [(event, channel, address) for event, channel, address, _ in await told(database)][2:] == [
        ("reminded", "slack", "#ops"),
        ("reminded", "email", ""),
        ("escalated", "slack", "#ops"),
        ("escalated", "email", ""),
        ("escalated", "slack", "group:ops"),
    ]
    voter = Voter("olga", frozenset({"ops"}))
    done = await database.transact(deciding.decide("wp_1", Ballot(voter=voter, choice="approve", answer='{"approved":true}'), NOW))
    assert done.waitpoint.state is WaitState.ANSWERED


async def test_a_question_that_is_open_to_all_is_not_narrowed_by_bringing_somebody_in(database: Database) -> None:
    assert ladder.widened({"title": "?"}, "group:ops") == {"title": "?", "escalated": ["group:ops"]}
    assert ladder.widened({"users": ["maria"]}, "user:maria")["users"] == ["maria"]


async def test_no_rung_is_taken_after_the_end_whoever_is_first(database: Database, other: Database) -> None:
    for number in range(30):
        await ask(database, number, ladder=[{"after": 0, "to": "group:ops"}])
        deciding_it = other.transact(deciding.decide(f"wp_{number}", ballot("approve"), NOW))
        climbing = database.transact(ladder.climb(f"wp_{number}", 0, NOW))
        _, climbed = await asyncio.gather(deciding_it, climbing)
        events = [event for event, *_ in await told(database, f"wp_{number}")]
        assert events.count("escalated") == (0 if climbed is None else 3)
        assert "escalated" not in events[events.index("resolved") :]
    assert await database.read(ladder.due(NOW, 100)) == []


async def test_people_are_reminded_once_a_minute_and_not_of_what_is_over(database: Database) -> None:
    await ask(database, notify=["slack:#ops"])
    await database.transact(ladder.remind("wp_1", "boss", NOW))
    with pytest.raises(RemindedAlready):
        await database.transact(ladder.remind("wp_1", "boss", NOW + MINUTE - 1))
    await database.transact(ladder.remind("wp_1", "boss", NOW + MINUTE))
    assert [event for event, *_ in await told(database)] == ["requested", "reminded", "reminded"]
    await database.transact(deciding.withdraw("wp_1", ballot("cancel", "{}"), NOW))
    with pytest.raises(WaitpointTimedOut):
        await database.transact(ladder.remind("wp_1", "boss", NOW + 9 * MINUTE))
    with pytest.raises(WaitpointError):
        await database.transact(ladder.remind("wp_none", "boss", NOW))


async def test_one_message_for_many_becomes_one_for_each_unless_another_has_it_by_now(database: Database) -> None:
    await ask(database, notify=["email"])
    [one] = await claim(database)
    [again] = await claim(database, OTHER, NOW + MINUTE)
    each = [Address("email", "m@a.test", "maria"), Address("email", "p@a.test", "peter")]
    assert not await database.transact(outbox.spread(one, "one", each, NOW))
    assert await database.transact(outbox.spread(again, "another", each, NOW))
    assert await told(database) == [
        ("requested", "email", "", "spread"),
        ("requested", "email", "m@a.test", "pending"),
        ("requested", "email", "p@a.test", "pending"),
    ]
    await database.transact(deciding.decide("wp_1", ballot("approve"), NOW))
    assert [address for event, _, address, _ in await told(database) if event == "resolved"] == ["m@a.test", "p@a.test"]


async def test_what_was_told_goes_with_its_run(database: Database) -> None:
    await ask(database, ladder=[{"after": MINUTE}])
    lease = await leased(database, "b", 2)
    assert lease.run_id == "run_2"
    run = await database.transact(transitions.force_cancel("run_1", NOW))
    assert run is None
    await database.transact(transitions.ask_cancel("run_1", "no", NOW, NOW))
    assert await database.transact(transitions.force_cancel("run_1", NOW)) is not None
    assert len(await told(database)) == 4
    await database.transact(upkeep.delete("run_1"))
    assert await told(database) == []


async def test_the_doctor_is_told_of_what_nobody_could_be_told_while_somebody_has_to_answer(database: Database) -> None:
    await ask(database)
    [mail, slack] = sorted(await claim(database), key=lambda one: one.channel)
    await database.transact(outbox.settle(slack, "one", Settled(state=DeliveryState.DEAD, error="channel_not_found"), NOW))
    await database.transact(outbox.settle(mail, "one", Settled(state=DeliveryState.PENDING, error="refused", again=NOW + 1), NOW))
    found = await database.read(outbox.stuck(NOW - 1))
    assert [(one.channel, one.dead, one.error) for one in found] == [("slack", True, "channel_not_found")]
    found = await database.read(outbox.stuck(NOW))
    assert [(one.channel, one.dead, one.many) for one in found] == [("email", False, 1), ("slack", True, 1)]
    await database.transact(deciding.decide("wp_1", ballot("approve"), NOW))
    assert await database.read(outbox.stuck(NOW)) == []
