"""Starting a run by the name of its task, from a process that has not its code."""

from __future__ import annotations

import pytest

from agentflow import Agentflow, task
from agentflow.errors import InvalidPayload, UnknownTask
from agentflow.testing import Engine


@task
async def ship_by_name(order_id: str, express: bool = False) -> str:
    return f"{order_id}{' fast' if express else ''}"


async def test_arguments_that_the_task_does_not_have_are_refused_where_its_code_is_not(engine: Engine, stream_server: str) -> None:
    database = engine.database_url
    async with Agentflow(database=database, redis=stream_server, directory=engine.directory, worker=False, clock=engine.clock) as far:
        with pytest.raises(InvalidPayload, match=r"order_id: missing; order: not an argument"):
            await far.start("ship_by_name", order="o-1")
        with pytest.raises(InvalidPayload, match="not a JSON object"):
            await far.start_json("ship_by_name", "[1]")
        with pytest.raises(UnknownTask, match="nothing_of_that_name"):
            await far.start("nothing_of_that_name")
        run = await far.start("ship_by_name", order_id="o-1", express=True)
        await engine.settle()
        assert await run.result(timeout="1h") == "o-1 fast"
