"""Work that is crashed everywhere: every kind of thing that a run can do, and a record of each body that was really called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anthropic.types import Message
from pydantic_ai.messages import ModelMessage

from agentflow import Budget, InputStream, Stream, ai, approve, context, current_step, sleep, step, task
from agentflow.agents.agent import Agent
from agentflow.engine.task import Task
from agentflow.streams.events import Usage
from agentflow.testing.models import Said, call, scripted_model, text, thinking


@dataclass(frozen=True, slots=True)
class Workload:
    """A task, what to start it with, and what must come out. `called` has the run and key of each body, as often as it was called.

    `sent` is what others send into its input stream, `said` what readers of its own streams must know in the end. `used` are the
    tokens that it and its children used, of which people were `asked` so often. `steers` is a thread, and what is said there to the run at
    work, before a person answers it. `looked`: bodies that may be called once and no more, and what a person who looked says of one that
    was cut off.
    """

    task: Task[..., Any]
    given: tuple[Any, ...]
    result: Any
    called: list[str] = field(default_factory=list[str])
    sent: tuple[int, ...] = ()
    said: Mapping[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    used: int = 0
    asked: int = 0
    steers: tuple[str, str] | None = None
    looked: str | None = None


numbers = InputStream[int]("numbers")
log = Stream[str]("log")
progress = Stream[int]("progress")


def everything() -> Workload:
    """Steps, gather, children, a detached run, sleep, an approval, recorded values, a step that fails once."""
    called: list[str] = []

    def note() -> None:
        called.append(current_step().idempotency_key)

    @step
    async def add(a: int, b: int) -> int:
        note()
        return a + b

    @step
    def double(number: int) -> int:
        note()
        return 2 * number

    @task
    async def child(number: int) -> int:
        return await double(number) + await add(number, 1)

    @task
    async def parent() -> list[int]:
        run = context()
        first = await add(1, 2)
        before = (await run.uuid4(), await run.now(), await run.random())
        seconds = await asyncio.gather(double(first), child(first), child(first + 1))
        await sleep("1h")
        detached = await child.start(10)
        decision = await approve("Go on?", expires=None)
        third = await add(int(decision.approved), await detached.result())
        assert before[1] < await run.now()
        return [first, *seconds, third, await double(third)]

    return Workload(parent, (), [3, 6, 10, 13, 32, 64], called)


def talking() -> Workload:
    """An agent: thoughts, two tools at once of which one asks a person, and the last word."""
    called: list[str] = []

    def said(*parts: Said) -> Callable[[list[ModelMessage]], Sequence[Said]]:
        def tell(messages: list[ModelMessage]) -> Sequence[Said]:
            called.append(current_step().idempotency_key)
            return parts

        return tell

    @step
    async def look_up(order: str) -> str:
        """Look an order up."""
        called.append(current_step().idempotency_key)
        return f"{order}: sent"

    @step
    async def pay(order: str) -> str:
        called.append(current_step().idempotency_key)
        return f"{order}: paid back"

    @task
    async def refund(order: str) -> str:
        """Pay an order back."""
        return await pay(order)

    calls = (call("look_up", {"order": "o-1"}, id="c1"), call("refund", {"order": "o-1"}, id="c2"))
    model = scripted_model(said(thinking("hm"), *calls), said(text("It is "), text("done.")))
    agent = Agent("support", model=model, tools=[look_up, ai.tool(refund, approval=True)])
    return Workload(agent, ("Where is o-1?",), "It is done.", called)


def agreeing() -> Workload:
    """An agent and a loop of one's own, each with calls that a person agrees to and that nobody may make twice."""
    called: list[str] = []

    @step
    async def pay(order: str) -> str:
        """Pay an order back."""
        called.append(current_step().idempotency_key)
        return "paid"

    calls = [call("pay", {"order": f"o-{number}"}, id=f"c{number}") for number in (1, 2)]
    cashier = Agent("cashier-once", model=scripted_model(calls, [text("done")]), tools=[ai.tool(pay, approval=True)])
    blocks = [{"type": "tool_use", "id": "c3", "name": "pay", "input": {"order": "o-3"}}]
    usage = {"input_tokens": 1, "output_tokens": 1}
    said = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use", "usage": usage}
    response = Message.model_validate({**said, "content": blocks})

    @task(name="paying-once")
    async def pays() -> list[str]:
        results = await ai.run_tools(response, [ai.tool(pay, approval=True)])
        return [await cashier("go"), *(one["content"] for one in results)]

    return Workload(pays, (), ["done", "paid"], called, looked="paid")


def conversing() -> Workload:
    """Messages into a run and from it into its child, items of a task, of a step, and of a child for its root."""
    called: list[str] = []

    @step
    async def work(number: int) -> int:
        called.append(current_step().idempotency_key)
        for part in range(2):
            await progress.append(10 * number + part)
        return 2 * number

    @task
    async def echo() -> int:
        return await numbers.next()

    @task
    async def desk() -> list[int]:
        found: list[int] = []
        async for number in numbers.receive(timeout="1h"):
            await log.append(f"got {number}")
            found.append(await work(number))
        child = await echo.start()
        await child.send(numbers, 3)
        return [*found, await child.result()]

    said = {"log": ["got 1", "got 2"], "progress": [10, 11, 20, 21]}
    return Workload(desk, (), [2, 4, 3], called, (1, 2), said)


def in_a_thread() -> Workload:
    """A thread of two runs that were started at once, the first of which is steered while it waits for a person.

    The second has its turn after it, and knows what it said and heard, once.
    """
    called: list[str] = []

    def hear(messages: list[ModelMessage]) -> Sequence[Said]:
        called.append(current_step().idempotency_key)
        heard = [str(part.content) for one in messages for part in one.parts if part.part_kind == "user-prompt"]
        return [text(" ".join(heard))] if len(messages) > 1 else [call("allow", {}, id="c1")]

    @task
    async def allow() -> str:
        """Ask a person."""
        return str((await approve("Go on?", expires=None)).approved)

    agent = Agent("support", model=scripted_model(*[hear] * 9), tools=[ai.tool(allow)])

    @task
    async def recall() -> int:
        thread = context().thread
        return -1 if thread is None else len(await thread.history())

    @task
    async def talk() -> list[str | int]:
        said = await agent.start("hello", thread="t-7")
        heard = await recall.using(thread="t-7").start()
        return [await said.result(), await heard.result()]

    return Workload(talk, (), ["hello quick", 5], called, steers=("t-7", "quick"))


def within_a_budget() -> Workload:
    """Model calls of a run and its children, one after the other and at once, in a budget that people raise twice."""
    called: list[str] = []

    @step(kind="llm")
    async def speak(tokens: int) -> int:
        called.append(current_step().idempotency_key)
        current_step().publish(Usage(model="m", input=tokens, output=0, cost=0.001))
        return tokens

    @task
    async def part(tokens: int) -> int:
        return await speak(tokens)

    @task(budget=Budget(tokens=100, on_limit="ask"))
    async def whole() -> int:
        first = await speak(120) + await part(50)
        return first + sum(await asyncio.gather(part(40), part(40), speak(40)))

    return Workload(whole, (), 290, called, used=290, asked=2)
