"""One rule for what a model is told, in every loop: results of any size, errors that are for it, and errors that are not."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import Agent, TellModel, ai, approve, context, current_step, step, task
from agentflow.agents.tools import Tool
from agentflow.errors import RunFailed
from agentflow.handle import RunHandle
from agentflow.retry import Retry
from agentflow.serde import ANY
from agentflow.streams.events import ToolError, ToolOutput
from agentflow.testing import Engine
from agentflow.testing.models import call, scripted_model, text
from tests.agents.loops import LETTING_OUT, LOOPS, TWICE, Make, claude_sdk


@pytest.fixture(params=LOOPS, ids=lambda make: make.__name__)
def loop(request: pytest.FixtureRequest) -> Make:
    """Who asks for the calls."""
    return request.param


calls: list[str] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()


async def stock(order: str) -> str:
    """Look an order up."""
    calls.append(order)
    raise TellModel(f"There is no order {order}.") if order == "o-0" else ValueError("password=hunter2")


@task(name="answers-refund")
async def refund(order: str) -> str:
    """Refund an order."""
    calls.append(order)
    if order == "o-0":
        raise TellModel(f"There is no order {order}.")
    raise ValueError("password=hunter2")


@pytest.mark.parametrize("target", [stock, refund, step(stock)])
async def test_an_error_for_the_model_is_told_word_for_word_and_tried_once(engine: Engine, loop: Make, target: Any) -> None:
    one = ai.tool(target, name="tool")
    tool = one if one.task is not None else ai.tool(one, retry=Retry(attempts=3, initial=0))
    made = loop([tool], [("tool", {"order": "o-0"})])
    assert await (await engine.start(made.task, "go")).result() == "done"
    assert made.told == [made.failure("There is no order o-0.")]
    assert calls == ["o-0"]


@pytest.mark.parametrize(("errors", "told"), [("hide", "The tool failed."), ("show", "The tool failed: ValueError: password=hunter2")])
async def test_another_error_of_a_function_is_hidden_or_shown_when_its_tries_are_used_up(
    engine: Engine, loop: Make, errors: Any, told: str
) -> None:
    made = loop([ai.tool(stock, errors=errors, retry=TWICE)], [("stock", {"order": "o-1"})])
    run = await engine.start(made.task, "go")
    assert await run.result() == "done"
    assert made.told == [made.failure(told)]
    assert calls == ["o-1"] * 2
    told_viewers = [one.event for one in await engine.events(run) if isinstance(one.event, ToolError)]
    assert [event.error for event in told_viewers] == [{"code": "failed", "message": told}]


@pytest.mark.parametrize(("errors", "told"), [(None, "The tool failed."), ("show", "The tool failed: ValueError: password=hunter2")])
async def test_another_error_of_a_child_run_is_hidden_or_shown(engine: Engine, loop: Make, errors: Any, told: str) -> None:
    made = loop([ai.tool(refund, errors=errors)], [("answers-refund", {"order": "o-1"})])
    assert await (await engine.start(made.task, "go")).result() == "done"
    assert made.told == [made.failure(told)]


@pytest.mark.parametrize("make", LETTING_OUT)
@pytest.mark.parametrize("tool", [ai.tool(stock, retry=TWICE), ai.tool(refund, name="stock", errors="raise")], ids=["step", "child"])
async def test_an_error_that_is_raised_fails_the_run_after_its_tries(engine: Engine, make: Make, tool: Tool) -> None:
    made = make([tool], [("stock", {"order": "o-1"})])
    with pytest.raises(RunFailed, match="hunter2"):
        await (await engine.start(made.task, "go")).result()
    # Two attempts of the run, and two tries of the step in each.
    assert calls == ["o-1"] * (2 if tool.task else 4)


async def test_the_claude_sdk_lets_no_error_out_and_the_model_hears_nothing_of_it(engine: Engine) -> None:
    made = claude_sdk([ai.tool(stock)], [("stock", {"order": "o-1"})])
    assert await (await engine.start(made.task, "go")).result() == "done"
    assert made.told == [made.failure("The tool failed.")]


class Row(BaseModel):
    cents: int


async def read_row(order: str) -> str:
    """Read a row of the database."""
    calls.append(order)
    return str(Row.model_validate({"cents": "password=hunter2"}).cents)


def read_row_at_once(order: str) -> str:
    """Read a row of the database."""
    calls.append(order)
    return str(Row.model_validate({"cents": "password=hunter2"}).cents)


INVALID = pytest.mark.parametrize("target", [read_row, read_row_at_once, step(read_row)], ids=["function", "sync", "step"])


@INVALID
@pytest.mark.parametrize(
    ("errors", "told"), [("hide", r"The tool failed\."), ("show", r"The tool failed: ValidationError: 1 validation error .*")]
)
async def test_data_that_does_not_fit_in_the_body_of_a_tool_is_no_fault_of_the_model(
    engine: Engine, loop: Make, target: Any, errors: Any, told: str
) -> None:
    made = loop([ai.tool(target, name="tool", errors=errors)], [("tool", {"order": "o-1"})])
    assert await (await engine.start(made.task, "go")).result() == "done"
    [heard] = made.told
    assert re.fullmatch(told, heard.text, re.DOTALL)
    assert heard == made.failure(heard.text)
    assert calls == ["o-1"]


@INVALID
@pytest.mark.parametrize("make", LETTING_OUT)
async def test_data_that_does_not_fit_in_the_body_of_a_tool_fails_the_run_after_its_tries(engine: Engine, make: Make, target: Any) -> None:
    made = make([ai.tool(target, name="tool", retry=TWICE)], [("tool", {"order": "o-1"})])
    with pytest.raises(RunFailed, match="1 validation error for Row"):
        await (await engine.start(made.task, "go")).result()
    assert calls == ["o-1"] * 4
    assert made.told == []


async def slow(order: str) -> str:
    """Take time."""
    calls.append(order)
    await asyncio.Event().wait()
    return order


async def test_a_tool_that_takes_too_long_is_told_without_details(engine: Engine, loop: Make) -> None:
    made = loop([ai.tool(slow, timeout="5s", errors="hide")], [("slow", {"order": "o-1"})])
    run = await engine.start(made.task, "go")
    await _called()
    await engine.clock.advance("6s")
    assert await run.result() == "done"
    assert made.told == [made.failure("The tool took too long.")]


async def _called() -> None:
    async with asyncio.timeout(10):
        while not calls:
            await asyncio.sleep(0)


@pytest.mark.both_databases
async def test_what_the_model_was_told_of_a_failure_stands_in_the_next_attempt(engine: Engine, loop: Make) -> None:
    made = loop([ai.tool(stock, errors="hide"), ai.tool(refund)], [("stock", {"order": "o-1"}), ("answers-refund", {"order": "o-2"})])
    failing = [True]

    @task(name="answers-failing", retry=TWICE)
    async def failing_once(prompt: str) -> Any:
        done = await made.task.function(prompt)
        if failing.pop():
            failing.append(False)
            raise OSError("once")
        return done

    run = await engine.start(failing_once, "go")
    assert await run.result() == "done"
    assert sorted(calls) == ["o-1", "o-2"]
    assert made.told == [made.failure("The tool failed.")] * 2


# -- long results --------------------------------------------------------------------------------------------------------------------------

LONG = "".join(f"line {number}\n" for number in range(2_000))


@step(name="answers-report")
async def report(order: str) -> str:
    """Write a report."""
    calls.append(order)
    return LONG


@task(name="answers-essay")
async def essay(order: str) -> list[str]:
    """Write an essay."""
    calls.append(order)
    return [LONG]


@pytest.mark.parametrize(("target", "name"), [(report, "answers-report"), (essay, "answers-essay")])
async def test_of_a_long_result_the_model_is_told_the_beginning_the_end_and_how_to_read_on(
    engine: Engine, loop: Make, target: Any, name: str
) -> None:
    made = loop([ai.tool(target, limit=400)], [(name, {"order": "o-1"})])
    run = await engine.start(made.task, "go")
    assert await run.result() == "done"
    [told] = made.told
    assert len(told.text.encode()) < 400 + 150
    assert told.text.removeprefix('["').startswith("line 0")
    assert told.text.removesuffix('"]').rstrip("n\\").rstrip().endswith("line 1999")
    assert re.search(r'of \d+ characters are left out here\. read_result\(result="\w{8}", offset=3\d\d\) reads on', told.text)
    outputs = [one.event.output for one in await engine.events(run) if isinstance(one.event, ToolOutput)]
    assert outputs == [LONG if target is report else [LONG]]


@pytest.mark.both_databases
async def test_a_model_reads_on_after_a_crash_and_the_tool_is_not_called_again(engine: Engine) -> None:
    read: list[str] = []

    def on(messages: Any) -> Any:
        told = str(messages[-1].parts[0].content)
        if (found := re.search(r'read_result\(result="(\w+)", offset=(\d+)\)', told)) is None:
            return [text("done")]
        read.append(found[0])
        return [call("read_result", {"result": found[1], "offset": int(found[2]), "limit": 100_000}, id="c2")]

    def after_gate(messages: list[Any]) -> Any:
        return on(messages[:-2])

    @task(name="answers-gate")
    async def gate() -> str:
        """Wait for a person."""
        return "yes" if (await approve("Go on?")).approved else "no"

    turns: list[Any] = [
        [call("answers-report", {"order": "o-1"}, id="c1")],
        [call("answers-gate", id="c9")],
        after_gate,
        on,
        [text("done")],
    ]
    model = scripted_model(*turns)
    agent = Agent("answers-reader", model=model, tools=[ai.tool(report, limit=400), gate])
    run = await engine.start(agent, "go")
    child = await _child(engine, run.id)
    waiting = await engine.waiting(child)
    await engine.crash()
    await waiting[0].approve(by="maria")
    assert await run.result() == "done"
    assert calls == ["o-1"]
    part: Any = model.requests[3].messages[-1].parts[0]
    offset = int(re.findall(r"\d+", read[0].partition("offset")[2])[0])
    assert part.content.startswith(LONG[offset : offset + 20_000])
    assert "read_result" in model.requests[1].tools
    assert "read_result" not in model.requests[0].tools


async def _child(engine: Engine, parent: str) -> RunHandle[Any]:
    async with asyncio.timeout(10):
        while not (found := await engine.app.runs.list(parent=parent)):
            await asyncio.sleep(0)
    return RunHandle(found[0].id, engine.app.verbs, ANY)


# -- the key of a call ---------------------------------------------------------------------------------------------------------------------

keys: list[str] = []


async def pay(order: str) -> str:
    """Pay an order."""
    keys.append(context().idempotency_key)
    if current_step().attempt == 1:
        raise OSError("the bank does not answer")
    return context().idempotency_key


@task(name="answers-payout", retry=TWICE)
async def payout(order: str) -> str:
    """Pay out."""
    keys.append(context().idempotency_key)
    if context().attempt == 1:
        raise OSError("the bank does not answer")
    await approve("Pay?")
    return context().idempotency_key


async def test_a_call_has_one_key_in_all_its_tries(engine: Engine, loop: Make) -> None:
    keys.clear()
    one, other = ("pay", {"order": "o-1"}), ("pay", {"order": "o-1"})
    made = loop([ai.tool(pay, retry=Retry(attempts=2, initial=0, jitter=0))], [one, other])
    run = await engine.start(made.task, "go")
    assert await run.result() == "done"
    first, second = (told.text for told in made.told)
    assert first != second
    assert sorted(keys) == sorted([first, first, second, second])
    assert all(key.startswith(f"{run.id}:") for key in keys)


@pytest.mark.both_databases
async def test_a_child_run_has_the_key_of_its_call_after_a_retry_and_a_crash(engine: Engine, loop: Make) -> None:
    keys.clear()
    made = loop([ai.tool(payout)], [("answers-payout", {"order": "o-1"})])
    run = await engine.start(made.task, "go")
    child = await _child(engine, run.id)
    waiting = await engine.waiting(child)
    await engine.crash()
    await waiting[0].approve(by="maria")
    assert await run.result() == "done"
    [told] = made.told
    assert told.text.startswith(f"{run.id}:")
    assert set(keys) == {told.text}
    assert len(keys) == 3


@task(name="answers-keyed")
async def keyed() -> str:
    """Say the key."""
    return context().idempotency_key


async def test_a_run_has_the_key_that_it_was_started_with_or_its_id(engine: Engine) -> None:
    assert await (await engine.start(keyed.using(idempotency_key="k-1"))).result() == "k-1"
    run = await engine.start(keyed)
    assert await run.result() == run.id


def test_tools_of_every_kind_say_what_is_done_with_errors() -> None:
    defaults: dict[str, Tool] = {"function": ai.tool(stock), "step": ai.tool(report), "task": ai.tool(refund)}
    assert {name: one.errors for name, one in defaults.items()} == {"function": "raise", "step": "raise", "task": "hide"}
