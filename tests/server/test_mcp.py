"""An app's tasks as MCP tools, for the SDK's own client: results, handles of what goes on, people, cancellation, errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from agentflow import Agent, Agentflow, TellModel, approve, context, sleep, step, task
from agentflow.errors import DefinitionError
from agentflow.records import RunState
from agentflow.server.mcp.calls import IDEMPOTENCY_KEY, Calls
from agentflow.server.mcp.serving import PATH, create_mcp_asgi
from agentflow.testing import Engine
from agentflow.testing.models import scripted_model
from agentflow.testing.models import text as says
from tests.server.site import served

PATIENCE = 10


@step(name="mcp-pack")
async def pack(order: str) -> str:
    """Pack an order."""
    return f"packed {order}"


@task(name="mcp.fulfil")
async def fulfil(order: str, *, express: bool = False) -> dict[str, Any]:
    """Fulfil one order.

    Args:
        order: The order's number.
    """
    return {"order": await pack(order), "express": express}


@task(name="mcp-nightly")
async def nightly() -> str:
    """Work at night."""
    await pack("o-1")
    await sleep("8h")
    return "done"


@task(name="mcp-refund")
async def refund(order: str) -> str:
    """Refund an order."""
    decision = await approve("Refund it?", body=order)
    return "refunded" if decision.approved else "denied"


@task(name="mcp-outer")
async def outer() -> str:
    """Have an order refunded."""
    return await refund("o-1")


@task(name="mcp-broken")
async def broken(told: bool) -> str:
    """Fail."""
    raise TellModel("There is no such order.") if told else ValueError("password=hunter2")


@task(name="mcp-long")
async def long() -> str:
    """Say much."""
    return "".join(f"line {number}\n" for number in range(9_000))


@task(name="mcp-keyed")
async def keyed() -> str:
    """Say the key."""
    return context().idempotency_key


expert = Agent("mcp-expert", model=scripted_model([says("42")]), description="Knows the answer.")
TASKS = {one.name: one for one in (fulfil, nightly, refund, outer, broken, long, keyed, expert)}


@pytest.fixture(params=["legacy", "auto"])
async def client(request: pytest.FixtureRequest, engine: Engine) -> AsyncIterator[Client]:
    """A client of both generations of the protocol."""
    await engine.stop()
    await engine.go_on(TASKS)
    ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def hold() -> None:
        async with Client(Calls(engine.app, "45s").server, mode=request.param) as made:
            ready.set_result(made)
            await done.wait()

    # A client has to be closed by the task that opened it, and a fixture's two halves are two.
    holding = asyncio.create_task(hold())
    yield await ready
    done.set()
    await holding


def told(result: CallToolResult) -> str:
    [part] = result.content
    assert isinstance(part, TextContent)
    return part.text


async def run_of(engine: Engine, name: str) -> str:
    async with asyncio.timeout(PATIENCE):
        while not (found := await engine.app.runs.list(task=name)):
            await asyncio.sleep(0)
    return found[0].id


async def test_every_task_and_agent_is_a_tool_and_a_call_is_a_run(engine: Engine, client: Client) -> None:
    tools = {one.name: one for one in (await client.list_tools()).tools}
    assert {"mcp_fulfil", "mcp-expert", "get_run", "cancel_run"} < tools.keys()
    assert tools["mcp_fulfil"].description == "Fulfil one order."
    assert tools["mcp_fulfil"].input_schema["properties"]["order"] == {"type": "string", "description": "The order's number."}
    result = await client.call_tool("mcp_fulfil", {"order": "o-1"})
    assert told(result) == '{"order":"packed o-1","express":false}'
    assert result.structured_content == {
        "run": await run_of(engine, "mcp.fulfil"),
        "status": "completed",
        "result": {"order": "packed o-1", "express": False},
    }
    assert told(await client.call_tool("mcp-expert", {"prompt": "why?"})) == "42"


async def test_a_run_that_takes_longer_goes_on_and_its_id_leads_to_the_result(engine: Engine, client: Client) -> None:
    calling = asyncio.create_task(client.call_tool("mcp-nightly", {}))
    run_id = await run_of(engine, "mcp-nightly")
    await engine.settle()
    await engine.clock.advance("46s")
    first = await asyncio.wait_for(calling, PATIENCE)
    assert first.structured_content == {"run": run_id, "status": "waiting"}
    assert f'get_run(run="{run_id}")' in told(first)
    assert not first.is_error
    await engine.clock.advance(8 * 3600 - 46 - 20)
    asking = asyncio.create_task(client.call_tool("get_run", {"run": run_id, "wait": 30}))
    await engine.settle()
    await engine.clock.advance("20s")
    assert told(await asyncio.wait_for(asking, PATIENCE)) == "done"


async def test_a_call_that_waits_for_a_person_says_so_and_cannot_answer(engine: Engine, client: Client) -> None:
    result = await asyncio.wait_for(client.call_tool("mcp-refund", {"order": "o-1"}), PATIENCE)
    assert "waits for a person, who is asked: Refund it?" in told(result)
    content: Any = result.structured_content
    assert content["waits_for"] == ["Refund it?"]
    [waiting] = await engine.app.runs.waiting_for(content["run"])
    await engine.app.waitpoints.answer(waiting.id, {"approved": True}, by="maria")
    assert told(await client.call_tool("get_run", {"run": content["run"], "wait": 5})) == "refunded"


async def test_a_question_of_a_child_run_is_told_as_well(engine: Engine, client: Client) -> None:
    calling = asyncio.create_task(client.call_tool("mcp-outer", {}))
    await run_of(engine, "mcp-refund")
    await engine.settle()
    await engine.clock.advance("46s")
    assert "who is asked: Refund it?" in told(await asyncio.wait_for(calling, PATIENCE))


async def test_errors_for_the_model_are_told_and_others_are_not(engine: Engine, client: Client) -> None:
    asked = await client.call_tool("mcp-broken", {"told": True})
    hidden = await client.call_tool("mcp-broken", {"told": False})
    assert asked.is_error
    assert hidden.is_error
    assert told(asked).startswith("There is no such order.")
    assert told(hidden).startswith("The tool failed. It was run_")
    assert "hunter2" not in str(hidden)


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("mcp_fulfil", {"order": 5}, "order: Input should be a valid string"),
        ("mcp_fulfil", {}, "order: Field required"),
        ("get_run", {"run": "run_nothing"}, "run_nothing"),
        ("get_run", {"id": "run_nothing"}, "knows no id"),
        ("get_run", {"run": "run_1", "offset": "x"}, "another type"),
        ("cancel_run", {}, "run is missing"),
    ],
)
async def test_arguments_that_do_not_fit_are_errors_of_the_tool(client: Client, name: str, arguments: dict[str, Any], why: str) -> None:
    result = await client.call_tool(name, arguments)
    assert result.is_error
    assert why in told(result)


async def test_a_tool_that_does_not_exist_is_an_error_of_the_protocol(client: Client) -> None:
    with pytest.raises(MCPError, match="no tool 'nothing'"):
        await client.call_tool("nothing", {})


async def test_of_runs_that_no_mcp_client_has_started_it_tells_nothing(engine: Engine, client: Client) -> None:
    other = await engine.app.start("mcp-keyed")
    await other.result()
    for name in ("get_run", "cancel_run"):
        result = await client.call_tool(name, {"run": other.id})
        assert result.is_error
        assert told(result) == f"There is no run {other.id}."


async def test_a_long_result_is_read_on_with_get_run(client: Client) -> None:
    result = await client.call_tool("mcp-long", {})
    text = told(result)
    assert len(text.encode()) < 33_000
    content: Any = result.structured_content
    offset = int(text.partition("offset=")[2].partition(")")[0])
    rest = told(await client.call_tool("get_run", {"run": content["run"], "offset": offset}))
    whole = "".join(f"line {number}\n" for number in range(9_000))
    assert rest.startswith(whole[offset : offset + 20_000])


async def test_the_same_idempotency_key_is_the_same_run(engine: Engine, client: Client) -> None:
    results = [await client.call_tool("mcp-keyed", {}, meta={IDEMPOTENCY_KEY: "k-1"}) for _ in range(2)]
    assert [told(one) for one in results] == ["k-1", "k-1"]
    assert len(await engine.app.runs.list(task="mcp-keyed")) == 1


async def test_progress_is_told_to_who_asks_for_it(engine: Engine, client: Client) -> None:
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    calling = asyncio.create_task(client.call_tool("mcp-nightly", {}, progress_callback=hear))
    await run_of(engine, "mcp-nightly")
    async with asyncio.timeout(PATIENCE):
        while not heard:
            await asyncio.sleep(0)
    await engine.clock.advance("46s")
    await asyncio.wait_for(calling, PATIENCE)
    assert heard[0][0] == 1
    assert (heard[0][1] or "").startswith("mcp-pack")


@asynccontextmanager
async def over_http(engine: Engine) -> AsyncGenerator[str]:
    """The URL of a server of the engine's app."""
    await engine.stop()
    await engine.go_on(TASKS)
    asgi = create_mcp_asgi(engine.app)
    async with asgi.router.lifespan_context(asgi), served(asgi) as url:
        yield f"{url}{PATH}"


async def called(engine: Engine, client: Client) -> tuple[asyncio.Task[CallToolResult], str]:
    """A call that takes a night, and its run."""
    before = {one.id for one in await engine.app.runs.list(task="mcp-nightly")}
    calling = asyncio.create_task(client.call_tool("mcp-nightly", {}))
    async with asyncio.timeout(PATIENCE):
        while not (new := {one.id for one in await engine.app.runs.list(task="mcp-nightly")} - before):
            await asyncio.sleep(0)
    [run_id] = new
    await engine.settle()
    return calling, run_id


async def cancelled(engine: Engine, run_id: str) -> None:
    """Return once a run is cancelled."""
    async with asyncio.timeout(PATIENCE):
        while (await engine.app.runs.get(run_id)).state is not RunState.CANCELLED:
            await engine.clock.advance(1)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_of_clients_who_count_their_calls_alike_each_cancels_its_own_run(
    engine: Engine, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with over_http(engine) as url, Client(url, mode=mode) as first, Client(url, mode=mode) as second:
        (one, its), (other, theirs) = await called(engine, first), await called(engine, second)
        one.cancel()
        await cancelled(engine, its)
        assert (await engine.app.runs.get(theirs)).state is RunState.WAITING
        other.cancel()
        await cancelled(engine, theirs)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_call_that_ends_leaves_the_call_of_another_client_to_be_cancelled(engine: Engine, mode: str) -> None:
    async with over_http(engine) as url, Client(url, mode=mode) as first, Client(url, mode=mode) as second:
        (one, its), (other, theirs) = await called(engine, first), await called(engine, second)
        await engine.app.runs.cancel(its, "enough")
        assert told(await asyncio.wait_for(one, PATIENCE)).startswith("The tool was cancelled.")
        other.cancel()
        await cancelled(engine, theirs)


@pytest.mark.parametrize("client", ["legacy"], indirect=True)
async def test_a_call_that_its_client_cancels_cancels_the_run(engine: Engine, client: Client) -> None:
    calling, run_id = await called(engine, client)
    calling.cancel()
    await cancelled(engine, run_id)


async def test_a_run_is_cancelled_by_its_id(engine: Engine, client: Client) -> None:
    calling = asyncio.create_task(client.call_tool("mcp-nightly", {}))
    run_id = await run_of(engine, "mcp-nightly")
    await engine.settle()
    await client.call_tool("cancel_run", {"run": run_id})
    result = await asyncio.wait_for(calling, PATIENCE)
    assert told(result).startswith("The tool was cancelled.")


def test_two_tasks_that_would_be_one_tool_are_an_error() -> None:
    @task(name="mcp-get")
    async def get_run() -> None: ...

    same = [fulfil, task(name="mcp_fulfil")(get_run.function)]
    for tasks in (same, [task(name="get_run")(get_run.function)]):
        with pytest.raises(DefinitionError, match="name"):
            Calls(Agentflow(tasks), "45s")
