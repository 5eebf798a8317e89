"""A person for tests: decides about what runs ask, by rules that the test gives."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Literal

from agentflow.errors import AgentflowError, ConfigurationError, StorageError, WaitpointAlreadyAnswered, WaitpointTimedOut
from agentflow.records import WaitKind, WaitpointRecord
from agentflow.serde import codec, json_schema, loads
from agentflow.storage.policy import Policy
from agentflow.testing.engine import Engine
from agentflow.testing.faults import Crashed

Choice = Literal["approve", "deny", "retry", "done", "fail"]
_OUTCOMES = ("retry", "done", "fail")


@dataclass(frozen=True, slots=True)
class _Rule:
    """What to say to questions about a tool or with a title, or to a form."""

    about: str | None
    schema: Mapping[str, Any] | None
    choice: Choice | None
    said: Any

    def fits(self, one: WaitpointRecord, subject: Mapping[str, Any]) -> bool:
        if self.schema is not None:
            return one.kind is WaitKind.INPUT and one.schema is not None and loads(one.schema) == self.schema
        named = self.about in (subject.get("tool"), subject.get("title"))
        if one.kind is WaitKind.INPUT:
            return named and self.choice is None
        return named and self.choice is not None and (self.choice in _OUTCOMES) == (subject.get("kind") == "outcome")


class FakeHuman:
    """See `fake_human`. `asked` is what runs have asked so far, in order."""

    def __init__(self, engine: Engine, approves: bool, by: str) -> None:
        self.asked: list[WaitpointRecord] = []
        self._engine = engine
        self._approves = approves
        self._by = by
        self._rules: deque[_Rule] = deque()
        self._wakes = asyncio.Event()
        self._seen: set[str] = set()

    def decide(
        self,
        what: str,
        choice: Choice,
        *,
        reason: str | None = None,
        edits: Mapping[str, Any] | None = None,
        value: Any = None,
        stop: bool = False,
    ) -> None:
        """Say what to decide about a tool, or about the question with a title.

        `choice` is "approve" (perhaps with `edits`) or "deny" (perhaps with `stop`), and about a call that a crash has cut off "retry",
        "done" (with the `value` that it returned) or "fail". Several for one tool are taken one after the other, the last one for all that
        follow.
        """
        if choice in _OUTCOMES:
            edits = {"outcome": "done", "value": value} if choice == "done" else None
        approved = choice in ("approve", "retry", "done")
        said = {"approved": approved, "reason": reason, "edits": None if edits is None else dict(edits)}
        self._add(_Rule(what, None, choice, said | {"stop": True} if stop else said))

    def answer(self, form: Any, value: Any) -> None:
        """Say what to answer to a form: a model, as in `ask(model)`, or the title of the question. `value` is such a model, or JSON."""
        if isinstance(form, str):
            self._add(_Rule(form, None, None, value))
            return
        written = codec(form).encode(value, what="the answer") if not isinstance(value, (dict, list, str, int, float)) else None
        self._add(_Rule(None, json_schema(form), None, value if written is None else loads(written)))

    def _add(self, rule: _Rule) -> None:
        self._rules.append(rule)
        self._wakes.set()

    async def work(self) -> None:
        """Answer what is open, whenever something was written."""
        self._engine.written.add(self._wakes)
        try:
            while True:
                self._wakes.clear()
                await self._look()
                await self._wakes.wait()
        finally:
            self._engine.written.discard(self._wakes)

    async def _look(self) -> None:
        try:
            for kind in (WaitKind.APPROVAL, WaitKind.INPUT):
                for one in reversed(await self._engine.app.waitpoints.list(kind=kind)):
                    await self._meet(one)
        except (StorageError, ConfigurationError, Crashed):
            return  # The engine has crashed; what is open is so when it goes on.

    async def _meet(self, one: WaitpointRecord) -> None:
        if one.id not in self._seen:
            self._seen.add(one.id)
            self.asked.append(one)
        subject = loads(one.subject)
        rule = self._rule(one, subject)
        if rule is None:
            raise _Unknown(one)
        policy = Policy.of(subject)
        names = sorted(policy.users - policy.requesters) or [self._by, *(f"{self._by}-{count}" for count in range(2, policy.need + 1))]
        for name in names[: policy.need]:
            try:
                await self._engine.app.waitpoints.answer(one.id, rule.said, by=name)
            except (WaitpointAlreadyAnswered, WaitpointTimedOut):
                return  # Somebody else was quicker.

    def _rule(self, one: WaitpointRecord, subject: Mapping[str, Any]) -> _Rule | None:
        fitting = [rule for rule in self._rules if rule.fits(one, subject)]
        if len(fitting) > 1:
            self._rules.remove(fitting[0])
        if fitting:
            return fitting[0]
        if self._approves and one.kind is WaitKind.APPROVAL and subject.get("kind") != "outcome":
            return _Rule(None, None, "approve", {"approved": True})
        return None


class _Unknown(Exception):
    def __init__(self, one: WaitpointRecord) -> None:
        subject = loads(one.subject)
        what = f"{one.kind.value} {subject.get('title') or one.id!r}"
        tool = f" (tool {subject['tool']!r}, {subject.get('kind')})" if subject.get("tool") else ""
        super().__init__(f"{what}{tool}: {subject.get('body')!r}")


@contextmanager
def fake_human(engine: Engine, *, approve_all: bool = False, by: str = "human") -> Generator[FakeHuman]:
    """A person who decides, as soon as a run asks: by rules that the test gives, through the app's public API.

    With `approve_all` everything that no rule is about is approved; what became of a call that a crash cut off, and forms, have to be said.
    Where users are named in a question, it is these who decide, and as many as it needs; else `by`. A question that no rule is about
    fails the test at once, telling what is open. Give rules before what they are about is asked.

        with fake_human(engine, approve_all=True) as human:
            human.decide("refund", "deny", reason="too much")
            human.answer(Shipping, Shipping(carrier="ups"))
            run = await engine.start(support, "Where is my order?")
            await run.result()
        assert [loads(one.subject)["tool"] for one in human.asked] == ["refund"]
    """
    human, test = FakeHuman(engine, approve_all, by), asyncio.current_task()
    working = asyncio.get_running_loop().create_task(human.work(), context=Context())
    told: list[BaseException] = []

    def ended(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and test is not None:
            told.append(error)
            test.cancel()

    working.add_done_callback(ended)
    try:
        yield human
    except asyncio.CancelledError as cancelled:
        if not told or test is None or test.uncancel():
            raise
        raise AssertionError(_failed(told[0])) from cancelled
    finally:
        working.cancel()
    if told and test is not None:
        test.uncancel()
        raise AssertionError(_failed(told[0])) from told[0]


def _failed(error: BaseException) -> str:
    if isinstance(error, _Unknown):
        return f"fake_human knows no answer to the open {error}. Say one: human.decide(tool or title, …) or human.answer(model, …)."
    message = error.message if isinstance(error, AgentflowError) else str(error)
    return f"fake_human could not decide: {message}"
