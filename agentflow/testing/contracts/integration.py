"""What every integration of a model SDK keeps, whoever runs the loop."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, TypeVar

from agentflow.handle import RunHandle
from agentflow.records import RunState, WaitKind
from agentflow.streams.events import (
    ApprovalRequested,
    ReasoningDelta,
    ReasoningStart,
    StepCompleted,
    StepRetrying,
    StepStarted,
    TextDelta,
    ToolDenied,
    ToolInput,
    ToolOutput,
    Usage,
)
from agentflow.testing.contracts.conversation import REFUSED, Conversation, Pace, Turn, dispatch, pack, refund
from agentflow.testing.contracts.doomed import Doomed
from agentflow.testing.engine import PATIENCE, Engine, Waiting
from agentflow.testing.models import call, text, thinking

MOMENT = 0.05
"""Seconds in which a word is told, if what the model sent was one."""

E = TypeVar("E")
PROMPT = "Where is o-1?"
WORDS = "It is on its way, and you have your money back."
SEND = call("dispatch", {"order": "o-1"}, id="c1")
PAY = call("refund", {"order": "o-1", "cents": 5}, id="c2")


class IntegrationContract:
    """Subclass it, say how to hold a conversation, and let pytest collect the tests. They use the fixture `engine`.

    On another database: override the fixture `engine_database`.

        class TestAcme(IntegrationContract):
            @asynccontextmanager
            async def conversing(self, *turns: Turn, pace: Pace | None = None) -> AsyncGenerator[Conversation]:
                async with acme_server(turns, pace) as server:
                    yield Conversation(loop_on(server.url), lambda: len(server.requests), server.results)
    """

    def conversing(self, *turns: Turn, pace: Pace | None = None) -> AbstractAsyncContextManager[Conversation]:
        """A conversation with a model that says the first turn when nothing was said before, the second after it, and so on."""
        raise NotImplementedError

    async def test_a_replay_asks_the_model_nothing(self, engine: Engine) -> None:
        """Replay makes no second model call."""
        async with self.conversing([thinking("hm"), SEND], [PAY], [text(WORDS)]) as held:
            run = await engine.start(held.task, PROMPT)
            [question] = await asked(engine, run)
            await engine.crash()
            await engine.until(run, RunState.WAITING)
            same(held.requests(), 2, "requests before the answer")
            await question.approve(by="maria")
            same(await ended(engine, run), WORDS, "the last words")
            same(held.requests(), 3, "requests in all")
            report = await engine.replay(run)
            same(report.diverges, False, f"what a replay finds ({report})")

    async def test_tokens_and_thoughts_reach_the_stream_while_the_model_speaks(self, engine: Engine) -> None:
        """They come in pieces, inside of the step that is recorded, and so does what was used."""
        spoken = asyncio.Event()
        heard = 0

        async def pace() -> None:
            nonlocal heard
            # What the model says next waits for what it said before: a client that reads late would have it all at once.
            with suppress(TimeoutError):
                async with asyncio.timeout(MOMENT):
                    while len(said(events := await told(engine, run), ReasoningDelta)) + len(said(events, TextDelta)) <= heard:
                        await asyncio.sleep(0)
            events = await told(engine, run)
            heard = len(said(events, ReasoningDelta)) + len(said(events, TextDelta))
            began = [event.step for event in said(events, ReasoningStart)]
            if said(events, ReasoningDelta) and not any(event.step in began for event in said(events, StepCompleted)):
                spoken.set()

        async with self.conversing([thinking("The order left on Monday."), text(WORDS)], pace=pace) as held:
            run = await engine.start(held.task, PROMPT)
            same(await ended(engine, run), WORDS, "the last words")
            same(spoken.is_set(), True, "that a thought was told before its step was recorded")
            events = await told(engine, run)
        same("".join(event.delta for event in said(events, TextDelta)), WORDS, "the text that was told")
        same("".join(event.delta for event in said(events, ReasoningDelta)), "The order left on Monday.", "the thoughts that were told")
        same(len(said(events, TextDelta)) > 1, True, "that text comes in pieces")
        [used] = said(events, Usage)
        [began] = [event for event in said(events, StepStarted) if event.step == used.step]
        [done] = [event for event in said(events, StepCompleted) if event.step == used.step]
        same(began.kind, "llm", "the kind of the step that says what was used")
        same(events.index(began) < events.index(used) < events.index(done), True, "that usage is told inside of its step")

    async def test_a_tool_call_is_one_child_run_however_often_the_turn_is_retried(self, engine: Engine) -> None:
        """A refused request is tried again, by agentflow and nobody else, and what was called is called once."""
        async with self.conversing(REFUSED, [SEND], REFUSED, REFUSED, [text(WORDS)]) as held:
            run = await engine.start(held.task, PROMPT)
            same(await ended(engine, run), WORDS, "the last words")
            same(held.requests(), 5, "requests, refused ones too")
        same(len(said(await told(engine, run), StepRetrying)), 3, "tries again")
        same(len(await engine.app.runs.list(task=dispatch.name)), 1, "child runs")
        same(engine.calls(pack), 1, "calls of the child's step")
        same(held.results(), {"c1": "o-1 packed and sent"}, "what the model was told")
        inputs = [(event.call, bool(event.message and event.step)) for event in said(await told(engine, run), ToolInput)]
        same(inputs, [("c1", True)], "calls that were told, and whether with their message and step")

    async def test_an_approval_suspends_and_resumes(self, engine: Engine) -> None:
        """The model is asked twice, the person once, the tool runs once."""
        async with self.conversing([PAY], [text(WORDS)]) as held:
            run = await engine.start(held.task, PROMPT)
            [question] = await asked(engine, run)
            await engine.crash()
            await engine.until(run, RunState.WAITING)
            same((held.requests(), engine.calls(refund)), (1, 0), "requests, and refunds, before the answer")
            await question.approve(by="maria")
            same(await ended(engine, run), WORDS, "the last words")
            same((held.requests(), engine.calls(refund)), (2, 1), "requests, and refunds")
        events = await told(engine, run)
        same(len(said(events, ApprovalRequested)), 1, "questions")
        same([event.call for event in said(events, ToolOutput)], ["c2"], "calls that were told to have a result")
        same(held.results(), {"c2": "o-1 refunded 5"}, "what the model was told")

    async def test_two_questions_of_one_turn_are_answered_in_reverse_order_after_a_restart(self, engine: Engine) -> None:
        """Right answers at the right calls."""
        calls = [call("refund", {"order": f"o-{cents}", "cents": cents}, id=f"r{cents}") for cents in (5, 7)]
        async with self.conversing(calls, [text(WORDS)]) as held:
            run = await engine.start(held.task, PROMPT)
            questions = {json.loads(one.record.subject)["call"]: one for one in await asked(engine, run, 2)}
            await engine.crash()
            await engine.until(run, RunState.WAITING)
            await questions["r7"].approve(by="maria", edits={"order": "o-7", "cents": 6})
            await questions["r5"].deny(by="maria", reason="too late")
            same(await ended(engine, run), WORDS, "the last words")
            same(held.requests(), 2, "requests")
        results = held.results()
        same((set(results), "too late" in results["r5"], "o-7 refunded 6" in results["r7"]), ({"r5", "r7"}, True, True), f"{results}")
        events = await told(engine, run)
        same([event.call for event in said(events, ToolOutput)], ["r7"], "calls that were told to have a result")
        same([event.call for event in said(events, ToolDenied)], ["r5"], "calls that were told to be denied")
        same(engine.calls(refund), 1, "refunds")

    async def test_a_crash_after_every_recorded_unit_resumes(self, engine: Engine) -> None:
        """At the n-th write, for every n until a whole conversation needs fewer.

        On a file every fourth is tried, on a database server every ninth, and all of them where `EVERY_WRITE` is set.
        """
        number, crashed = 0, True
        while crashed:
            number += 1 if os.environ.get("EVERY_WRITE") else 4 if engine.database_url.endswith(".db") else 9
            crashed = await self._crashed(engine, number)
        same(number > 15, True, f"that there was much to crash in ({number})")

    async def _crashed(self, engine: Engine, number: int) -> bool:
        paid = engine.calls(refund)
        async with self.conversing([thinking("hm"), SEND], [PAY], [text(WORDS)]) as held, Doomed(engine, number) as doomed:
            run, result = await doomed.run(held.task, PROMPT)
            same(result, WORDS, f"the last words after a crash at write {number}")
            same(held.requests() in (3, 4), True, f"that at most one of three requests was made again, at write {number}")
        same(len(await engine.app.runs.list(parent=run.id)), 1, f"child runs after a crash at write {number}")
        same(engine.calls(refund) - paid in (1, 2), True, f"that at most what was not recorded ran again at write {number}")
        return doomed.died


async def ended(engine: Engine, run: RunHandle[Any]) -> Any:
    """The result of a run, whose waits for another try of the model take no time."""
    async with asyncio.timeout(PATIENCE):
        while not (await engine.get(run)).state.terminal:
            await engine.clock.advance("2s")
    return await run.result()


async def asked(engine: Engine, run: RunHandle[Any], count: int = 1) -> list[Waiting]:
    """The questions that the run waits for, once nothing else is left to do."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await engine.settle()
            waiting = await engine.waiting(run)
            questions = [one for one in waiting if one.record.kind is WaitKind.APPROVAL]
            if len(questions) == len(waiting) == count:
                return questions


async def told(engine: Engine, run: RunHandle[Any]) -> list[Any]:
    """What the run has said."""
    return [stored.event for stored in await engine.events(run)]


def said(events: list[Any], kind: type[E]) -> list[E]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def same(found: Any, wanted: Any, what: str) -> None:
    """Fail the test if what is found is not what the contract wants."""
    if found != wanted:
        raise AssertionError(f"The contract wants {what} to be {wanted!r}, and it is {found!r}.")
