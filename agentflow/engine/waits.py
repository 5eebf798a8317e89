"""What a run can wait for: time, people, tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Unpack

from agentflow.clock import SECOND, Duration, microseconds
from agentflow.engine.context import TaskContext, WaitRequest, WaitResult, recording, scope
from agentflow.engine.ladder import Telling, telling
from agentflow.errors import DefinitionError, NotInRun, WaitpointTimedOut
from agentflow.records import GrantedCall, WaitKind, WaitState
from agentflow.serde import decode_failure, loads
from agentflow.storage.policy import person_of

_NOBODY = ("requester", None)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def within_run(what: str) -> TaskContext:
    """The context of the run around this code, for something that waits. Raises `NotInRun`, also inside a step."""
    run = recording()
    if run is not None:
        return run
    if scope.get() is not None:
        raise NotInRun(f"{what} was called inside a step.", hint="A step is recorded as a whole: wait in the task, between steps.")
    raise NotInRun(f"{what} was called outside of a run.", hint="Call it from a task that was started, not called plainly.")


async def sleep(duration: Duration) -> None:
    """Sleep, durably: for days at no cost, and after a crash only for the rest. Outside of a run it sleeps as `asyncio.sleep` does.

    >>> await sleep("1d")
    """
    length = microseconds(duration)
    run = recording()
    if run is None:
        await asyncio.sleep(length / SECOND)
        return
    await run.wait(run.key("sleep"), WaitRequest(kind=WaitKind.TIMER, due_after=length))


async def sleep_until(when: datetime) -> None:
    """Sleep, durably, until a moment; a naive `datetime` is UTC. A moment that has passed returns at once.

    >>> await sleep_until(datetime(2027, 1, 1, tzinfo=UTC))
    """
    aware = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    run = within_run("sleep_until()")
    due = (aware - _EPOCH) // timedelta(microseconds=1)
    await run.wait(run.key("sleep"), WaitRequest(kind=WaitKind.TIMER, due_at=max(0, due)))


@dataclass(frozen=True, slots=True)
class Decision:
    """What people decided. `by` is who, `expired` whether nobody did in time; `edits` is what they changed.

    `stop`: with the no to a tool call they ended the turn. `digest` is that of what they were asked about, if it has one.
    """

    approved: bool
    by: str | None = None
    reason: str | None = None
    edits: Mapping[str, Any] | None = None
    expired: bool = False
    waitpoint_id: str = field(default="", compare=False)
    stop: bool = False
    digest: str | None = field(default=None, compare=False)

    @property
    def denied(self) -> bool:
        """Whether the answer is no; nobody answering in time is a no."""
        return not self.approved


class Asking(Telling, total=False):
    """Who decides, who is told, and what silence means. See `approve`."""

    groups: Sequence[str]
    users: Sequence[str]
    need: int
    requester: str | None
    deny: Literal["veto", "majority"]
    risk: Literal["low", "medium", "high", "critical"]
    on_timeout: Literal["deny", "approve", "fail"]
    exclude_requester: bool | None


async def approve(title: str, *, body: Any = None, expires: Duration | None = "7d", **asking: Unpack[Asking]) -> Decision:
    """Ask people for a yes or no, and wait for as long as it takes.

    `body` is JSON shown to them. `users` and `groups` may decide (whoever may answer waitpoints, where neither is named), `need` of them,
    distinct people; never the `requester`, who asked for it. `exclude_requester` makes that whoever started the run, and everybody whose
    messages it, or a run above it, has received, or finds in its thread, where that is known: by default where the risk is high or
    critical, or more than one is needed. `deny="veto"`: one no is enough, `"majority"`: as many as yeses are needed. Edits count together
    with a yes to the same edits. `expires` is a duration after which the answer is no; `on_timeout` makes it "approve", or "fail", which
    raises `WaitpointTimedOut`. `risk` is shown.

    `notify` says where people are told, as a channel of the app and an address there: "slack:#ops", "email:user:maria", or "email" for all
    who may decide. They are told again after each duration in `remind`, and after that of each `(duration, "group:ops")` in `escalate`
    those may decide, too. A message that cannot be sent decides nothing: the question stays open.

    >>> decision = await approve("Publish?", body=draft, groups=["editors"], need=2, expires="3d")
    >>> decision = await approve("Refund?", groups=["cashiers"], notify=["slack:#cash"], remind=["4h"], escalate=[("1d", "group:finance")])
    """
    run = within_run("approve()")
    return await ask_approval(run, run.key("approve"), {"title": title, "body": body, **asked(asking)}, expires)


def asked(asking: Asking) -> dict[str, Any]:
    """Who decides, as a waitpoint stores it. Raises `DefinitionError` for what nobody could decide."""
    need, users = asking.get("need", 1), list(asking.get("users", ()))
    if need < 1 or (users and not asking.get("groups") and len(others(users, asking.get("requester") or "")) < need):
        raise DefinitionError(f"Nobody could decide this: {need} are needed.", hint="Name more users, or need fewer.")
    told = telling(asking)
    rest = {name: value for name, value in asking.items() if name not in Telling.__annotations__}
    return {**rest, "groups": list(asking.get("groups", ())), **({"users": users} if users else {}), **told}


async def ask_approval(
    run: TaskContext, key: str, subject: Mapping[str, Any], expires: Duration | None, call: GrantedCall | None = None
) -> Decision:
    """As `approve`, under an explicit key: `subject` has `title`, `body`, and for a tool `call`, `kind`, `schema` (of edits).

    `call`: what a grant may stand for people about.
    """
    due = None if expires is None else microseconds(expires)
    asked = {name: value for name, value in subject.items() if name not in ("schema", "exclude_requester") and (name, value) != _NOBODY}
    excluded = subject.get("exclude_requester")
    if excluded is None:
        excluded = subject.get("need", 1) > 1 or subject.get("risk") in ("high", "critical")
    request = WaitRequest(
        kind=WaitKind.APPROVAL, subject=asked, schema=subject.get("schema"), due_after=due, call=call, excludes=bool(excluded)
    )
    return decision(await run.wait(key, request))


def others(users: Sequence[str], *requesters: str) -> set[str]:
    """The distinct people of these who may decide, where who asked for it may not."""
    return {person_of(name) for name in users} - set(map(person_of, requesters))


def decision(result: WaitResult) -> Decision:
    """The decision behind an approval that has ended: fails closed."""
    default = silence(result.answer) if result.state is WaitState.TIMED_OUT else None
    if default == "approve":
        digest = loads(result.subject).get("digest")
        return Decision(True, by=result.answered_by, expired=True, waitpoint_id=result.id, digest=digest)
    if default == "fail":
        raise WaitpointTimedOut(f"Nobody decided about {result.id} in time.", hint="Ask again.", waitpoint_id=result.id)
    if result.state is not WaitState.ANSWERED:
        return Decision(False, reason=result.state.value, expired=result.state is WaitState.TIMED_OUT, waitpoint_id=result.id)
    answer = loads(result.answer or "{}")
    agreed = answer.get("approved") is True
    return Decision(
        agreed,
        by=result.answered_by,
        reason=answer.get("reason"),
        edits=answer.get("edits"),
        waitpoint_id=result.id,
        stop=not agreed and answer.get("stop") is True,
        digest=loads(result.subject).get("digest"),
    )


def silence(answer: str | None) -> str | None:
    """What it was said to mean that nobody answers, from what a waitpoint ended with in time; None where nothing was said."""
    found = None if answer is None or not answer.startswith("{") else decode_failure(answer)
    return None if found is None or found.details is None else found.details.get("on_timeout")


async def wait_for(token: str, *, timeout: Duration | None = None) -> Any:
    """Wait until somebody answers a token made with `app.waitpoints.create()`; returns the JSON value of the answer.

    Raises `WaitpointTimedOut` when the token, or this wait, ended without an answer. An answer that came before is returned at once.
    """
    run = within_run("wait_for()")
    due = None if timeout is None else microseconds(timeout)
    result = await run.wait(run.key("wait_for"), WaitRequest(kind=WaitKind.CALLBACK, target=token, due_after=due))
    if result.state is WaitState.ANSWERED:
        return loads(result.answer or "null")
    told = decode_failure(result.answer).message if result.answer else result.state.value
    raise WaitpointTimedOut(f"{token} was not answered: {told}", hint="Ask again, or give it more time.", waitpoint_id=token)
